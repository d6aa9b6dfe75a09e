import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { FaultProxy } from '../support/fault-proxy.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { OwnPostgres } from '../support/own-postgres.ts';
import { useTestService } from '../support/race.ts';
import type { Answer } from '../support/service.ts';

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await OwnPostgres.create();
  await postgres.query('postgres', 'alter system set autovacuum = off');
  await postgres.query('postgres', 'select pg_reload_conf()');
});
afterAll(() => postgres.remove());

/** Crashes at a moment when nobody has written to disk what is not committed, its transaction ids among it. */
async function crashWithoutTrace(prepare: () => Promise<unknown>): Promise<void> {
  const writers = await postgres.query<{ pid: number }>(
    'postgres',
    "select pid from pg_stat_activity where backend_type in ('walwriter', 'background writer', 'checkpointer')",
  );
  for (const { pid } of writers) postgres.freeze(pid);
  await prepare();
  const stopped = postgres.stop('immediate');
  // They shall find the order to quit when they go on.
  const isUp = () =>
    postgres.query('postgres', 'select').then(
      () => true,
      () => false,
    );
  await expect.poll(isUp, { interval: 2, timeout: 10_000 }).toBe(false);
  postgres.thaw();
  await stopped;
}

const statusOf = (id: string) =>
  postgres.query<{ status: string }>('postgres', 'select pg_xact_status($1::xid8) as status', [id]);

/** Uses up transaction ids until this one is given to somebody. */
async function reuse(id: string): Promise<void> {
  let next = 0n;
  while (next < BigInt(id)) {
    const [row] = await postgres.query<{ xid: string }>(
      'postgres',
      'select pg_current_xact_id()::text as xid',
    );
    next = BigInt(row?.xid ?? 0);
  }
}

test('PostgreSQL crashes under a COMMIT and gives its id to another transaction that commits: 503, not 201', async () => {
  const database = await postgres.createDatabase();
  const proxy = await FaultProxy.start(database.url);
  onTestFinished(() => proxy.close());
  const service = await useTestService({ database: { ...database, url: proxy.urlOf(database.url) } });
  const { id } = await service.createProduct();
  await service.placeOrder(id, 1);
  const order = () =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': 'crash' });

  const holders = () =>
    database.query<{ xid: string }>(
      `select backend_xid::text as xid from pg_stat_activity
        where state = 'idle in transaction' and application_name = 'orders-inventory' and backend_xid is not null`,
    );
  let answering: Promise<Answer> | undefined;
  let xid = '';
  await crashWithoutTrace(async () => {
    proxy.failCommits('hold');
    answering = order();
    await expect
      .poll(async () => proxy.faultsLeft + (await holders()).length, { interval: 2, timeout: 10_000 })
      .toBe(1);
    xid = (await holders())[0]?.xid ?? '';
    await proxy.refuse();
  });
  await postgres.start();
  await reuse(xid);
  // Whoever asks what became of the order's transaction is told that it is stored; it is not the order's any more.
  expect(await statusOf(xid)).toEqual([{ status: 'committed' }]);
  await proxy.restore();

  const answer = await answering;
  expect(answer?.status).toBe(503);
  expect(answer?.headers['retry-after']).toBe('1');
  const retried = await order();
  expect(retried.status).toBe(201);
  expect(retried.headers).not.toHaveProperty('idempotency-replayed');
  expect(await database.query('select from orders')).toHaveLength(2);
  await expectStockAddsUp(database);
});
