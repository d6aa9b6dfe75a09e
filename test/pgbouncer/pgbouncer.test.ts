import { expect, inject, onTestFinished, test } from 'vitest';

import { migrateDatabase } from '../../src/db/connect.ts';
import { connectForeign } from '../support/baskets.ts';
import { useTestDatabase } from '../support/database.ts';
import { endure, type Fault } from '../support/endure.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { findPgbouncer, PgBouncer } from '../support/pgbouncer.ts';
import { BuiltService, KeepAliveClient, startProcess, useEmptyDatabase } from '../support/process.ts';
import { recordFailures, together } from '../support/race.ts';
import { useTestService } from '../support/service.ts';
import { allKinds } from '../support/traffic.ts';

/** A PgBouncer of this test's own, and a proxy between it and PostgreSQL. */
async function useOwnPgbouncer() {
  const proxy = await FaultProxy.start(inject('adminUrl'));
  onTestFinished(() => proxy.close());
  // Without it, this project would not run.
  const pgbouncer = await PgBouncer.start(findPgbouncer() ?? '', proxy.urlOf(inject('adminUrl')));
  onTestFinished(() => pgbouncer.stop());
  const database = await useTestDatabase();
  return { proxy, pgbouncer, database, url: pgbouncer.urlOf(database.url) };
}

test('2 instances start at once on an empty database behind PgBouncer: one migrates, both serve', async () => {
  const database = await useEmptyDatabase();
  const url = new URL(inject('pgbouncerUrl'));
  url.pathname = new URL(database.url).pathname;
  const env = { DATABASE_URL: url.href, DATABASE_PGBOUNCER: 'true' };
  const services = await Promise.all([startProcess(env), startProcess(env)]);
  for (const [n, service] of services.entries()) {
    const client = new KeepAliveClient(service.url);
    expect((await client.call('GET', '/readyz')).status).toBe(200);
    const product = { sku: `SOLD-${n}`, name: 'Sold', price: 1, stock: 1 };
    const { body } = await client.call('POST', '/products', product);
    expect((await client.call('POST', '/orders', { product_id: body.id, quantity: 1 })).status).toBe(201);
    client.close();
  }
  expect(services.filter(({ stdout }) => stdout.includes('"msg":"migrated"'))).toHaveLength(1);
});

test('4 instances migrate one empty database at once behind PgBouncer, 5 times: one does it, and no lock is left', async () => {
  for (let round = 0; round < 5; round++) {
    const database = await useEmptyDatabase();
    const url = new URL(inject('pgbouncerUrl'));
    url.pathname = new URL(database.url).pathname;
    const options = { url: url.href, pgbouncer: true, onIdleError: () => undefined };
    const migrated = (await together(4, () => migrateDatabase(options))).map((run) => run.migrated);
    expect(migrated.map(({ length }) => length).toSorted((a, b) => a - b)).toEqual([
      0,
      0,
      0,
      expect.any(Number),
    ]);
    expect(Math.max(...migrated.map(({ length }) => length))).toBeGreaterThan(3);
    const locks = await database.query(
      `select from pg_locks where locktype = 'advisory'
         and database = (select oid from pg_database where datname = current_database())`,
    );
    expect(locks).toEqual([]);
  }
});

test('without DATABASE_PGBOUNCER the service does not start, and says in one sentence what to set', async () => {
  const database = await useTestDatabase();
  const service = new BuiltService({ DATABASE_URL: database.url });
  expect(await service.exited).toMatchObject({ code: 1, signal: null });
  expect(service.stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(service.stderr).toContain('Set DATABASE_PGBOUNCER=true');
});

test('the timeouts hold behind PgBouncer: an order of a product that another transaction holds is 503 in 1 s', async () => {
  const service = await useTestService();
  const { database } = service;
  const { id } = await service.createProduct();
  const foreign = await connectForeign(database);
  await foreign.query('begin');
  await foreign.query('select from products for update');
  const failures = recordFailures(service);
  const answer = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
  expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
  expect(failures).toEqual(['55P03']);
  await foreign.query('rollback');
  await expectStockAddsUp(database);
});

test('a connection cut behind PgBouncer during COMMIT, 10 times: 201 each time, and each order is stored once', async () => {
  const { proxy, database, url } = await useOwnPgbouncer();
  const service = await useTestService({ database: { ...database, url } });
  const { id } = await service.createProduct({ stock: 10 });
  for (let round = 1; round <= 10; round++) {
    proxy.failCommits(round % 2 === 0 ? 'cut-before' : 'cut-after');
    const answer = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
    expect(answer.status).toBe(201);
    expect(proxy.faultsLeft).toBe(0);
    expect(await database.query('select from orders')).toHaveLength(round);
  }
  await expectStockAddsUp(database);
});

type Own = Awaited<ReturnType<typeof useOwnPgbouncer>>;

const faults: Record<string, (own: Own) => Fault> = {
  'PgBouncer is killed, and started again': ({ pgbouncer }) => ({
    felt: allKinds,
    begin: () => pgbouncer.end('SIGKILL'),
    end: () => pgbouncer.begin(),
  }),
  'PostgreSQL refuses connections behind PgBouncer': ({ proxy }) => ({
    felt: allKinds,
    begin: () => proxy.refuse(),
    end: () => proxy.restore(),
  }),
};

test.each(Object.entries(faults))(
  '%s: every answer is legal or 503 in time, all is back within 5 s, each key has one order',
  async (_name, fault) => {
    const own = await useOwnPgbouncer();
    const env = { DATABASE_URL: own.url, DATABASE_PGBOUNCER: 'true' };
    expect(await endure(fault(own), env, own.database)).toEqual([]);
  },
);
