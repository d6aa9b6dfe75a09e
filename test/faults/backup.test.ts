import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { type BackupTools, findBackupTools } from '../support/backup-tools.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { KeepAliveClient, startProcess, useEmptyDatabase } from '../support/process.ts';
import { allKinds, Traffic } from '../support/traffic.ts';

let found: BackupTools | string;
beforeAll(async () => {
  found = await findBackupTools();
});
afterAll(async () => {
  if (typeof found !== 'string') await found.close();
});

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'backup-test-'));
  // mkdtemp's own mode would send root's database elsewhere.
  await chmod(folder, 0o755);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function audit(client: KeepAliveClient): Promise<unknown> {
  return (await client.call('GET', '/inventory/audit')).body;
}

const noDrift = { products: expect.toSatisfy((products) => products > 0), drift_units: 0, drifts: [] };

test('a dump that is taken while 21 callers work restores to no drift, with every answer before it, and serves on', async ({
  skip,
}) => {
  if (typeof found === 'string') skip(found);
  // Otherwise it was skipped.
  const { adminUrl, dump, restore } = found as BackupTools;
  const file = path.join(await makeFolder(), 'shop.dump');
  const shop = await useEmptyDatabase(adminUrl);
  await migrateDatabase({ url: shop.url, pgbouncer: false, onIdleError: () => undefined });
  const service = await startProcess({ DATABASE_URL: shop.url });
  const traffic = new Traffic(service.url);
  await traffic.start();
  await expect.poll(() => traffic.servedSince(0)).toEqual(allKinds);
  await expect.poll(() => traffic.orders.size).toBeGreaterThan(50);
  const orders = [...traffic.orders].filter(([, id]) => id !== undefined);
  const payments = [...traffic.payments].flatMap(([id, acknowledged]) => (acknowledged ? [id] : []));
  await dump(shop.url, file);
  expect(traffic.orders.size).toBeGreaterThan(orders.length);
  await traffic.stop();
  expect(await service.end('SIGTERM')).toMatchObject({ code: 0 });

  const restored = await useEmptyDatabase(adminUrl);
  await restore(file, restored.url);
  await expectStockAddsUp(restored);
  const second = await startProcess({ DATABASE_URL: restored.url });
  expect(second.stdout).not.toContain('"msg":"migrated"');
  const client = new KeepAliveClient(second.url);
  expect(await audit(client)).toMatchObject(noDrift);
  const ids = (await restored.query<{ id: string }>('select id from orders order by id')).map(({ id }) =>
    Number(id),
  );
  expect(ids).toEqual(expect.arrayContaining(orders.map(([, id]) => id)));
  // What was answered before the dump is answered again, and does nothing.
  const [key = '', id] = orders.at(-1) ?? [];
  const replayed = await traffic.sendOrder(client, key);
  expect([replayed.status, replayed.body.id]).toEqual([201, id]);
  expect(replayed.headers['idempotency-replayed']).toBe('true');
  const repaid = await traffic.sendPayment(client, payments.at(-1) ?? 0);
  expect(repaid.body).toMatchObject({ status: 'already_processed' });
  // Numbers go on where they were.
  const next = await traffic.sendOrder(client, 'placed-after-the-restore');
  expect(next.status).toBe(201);
  expect(next.body.id).toBeGreaterThan(Math.max(...ids));
  expect((await traffic.sendPayment(client, next.body.id)).body).toMatchObject({ status: 'processed' });
  expect((await traffic.sendProduct(client, 'made-after-the-restore')).status).toBe(201);
  expect(await audit(client)).toMatchObject(noDrift);
  client.close();
  await expect(restored.query('delete from stock_movements')).rejects.toThrow('never changed or deleted');
  await expectStockAddsUp(restored);
});

const order = (client: KeepAliveClient) =>
  client.call('POST', '/orders', { product_id: 1, quantity: 1 }, { 'idempotency-key': 'copied' });

test('a copy of the data folder of a service that has stopped is the whole shop: a service starts on it, no drift', async () => {
  const folder = await makeFolder();
  const original = path.join(folder, 'data');
  const copy = path.join(folder, 'copy');
  const first = await startProcess({ DATA_DIR: original });
  const seller = new KeepAliveClient(first.url);
  await seller.call('POST', '/products', { sku: 'SOLD', name: 'Sold', price: 1, stock: 10 });
  expect((await order(seller)).status).toBe(201);
  seller.close();
  expect(await first.end('SIGTERM')).toMatchObject({ code: 0 });
  expect(spawnSync('cp', ['-aL', original, copy]).status).toBe(0);
  await rm(original, { recursive: true });

  const second = await startProcess({ DATA_DIR: copy });
  const client = new KeepAliveClient(second.url);
  expect(await audit(client)).toMatchObject(noDrift);
  const replayed = await order(client);
  expect([replayed.status, replayed.headers['idempotency-replayed']]).toEqual([201, 'true']);
  client.close();
  expect(await second.end('SIGTERM')).toMatchObject({ code: 0 });
});
