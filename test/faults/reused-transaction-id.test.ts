import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { FaultProxy } from '../support/fault-proxy.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { OwnPostgres } from '../support/own-postgres.ts';
import { type Answer, useTestService } from '../support/service.ts';

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await OwnPostgres.create();
  await postgres.query('postgres', 'alter system set autovacuum = off');
  await postgres.query('postgres', 'select pg_reload_conf()');
});
afterAll(() => postgres.remove());

/** Crashes at a moment when nobody has written to disk what is not committed, its transaction ids among it. */
async function crashWithoutTrace(crash: Crash, prepare: () => Promise<number>): Promise<void> {
  const writers = await postgres.query<{ pid: number }>(
    'postgres',
    "select pid from pg_stat_activity where backend_type in ('walwriter', 'background writer', 'checkpointer')",
  );
  for (const { pid } of writers) postgres.freeze(pid);
  const crashed = crash(await prepare());
  // They shall find the order to quit when they go on.
  await expect.poll(isUp, { interval: 2 }).toBe(false);
  postgres.thaw();
  await crashed;
  await expect.poll(isUp, { interval: 10 }).toBe(true);
}

const isUp = () =>
  postgres.query('postgres', 'select').then(
    () => true,
    () => false,
  );

/** Given the backend of the order's transaction. */
type Crash = (pid: number) => Promise<void>;

const crashes: [string, Crash][] = [
  [
    'is stopped at once and started again',
    async () => {
      await postgres.stop('immediate');
      await postgres.start();
    },
  ],
  // The postmaster lives on, and begins anew by itself.
  ['loses a backend to kill -9', async (pid) => void process.kill(pid, 'SIGKILL')],
];

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

test.each(crashes)(
  'PostgreSQL %s under a COMMIT, and gives its id to another transaction: 503, not 201',
  async (_how, crash) => {
    const database = await postgres.createDatabase();
    const proxy = await FaultProxy.start(database.url);
    onTestFinished(() => proxy.close());
    const service = await useTestService({ database: { ...database, url: proxy.urlOf(database.url) } });
    const { id } = await service.createProduct();
    await service.placeOrder(id, 1);
    const order = () =>
      service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': 'crash' });

    const holders = () =>
      database.query<{ pid: number; xid: string }>(
        `select pid, backend_xid::text as xid from pg_stat_activity
        where state = 'idle in transaction' and datname = current_database() and backend_xid is not null`,
      );
    let answering: Promise<Answer> | undefined;
    let xid = '';
    await crashWithoutTrace(crash, async () => {
      proxy.failCommits('hold');
      answering = order();
      // The COMMIT is held, and the transaction waits for it; before that, it may wait for its next statement.
      await expect
        .poll(async () => [proxy.faultsLeft, (await holders()).length], { interval: 2 })
        .toEqual([0, 1]);
      const [holder] = await holders();
      if (holder === undefined) throw new Error('the order has no transaction');
      // Or it would find its client gone, and end by itself before anybody can kill it.
      postgres.freeze(holder.pid);
      xid = holder.xid;
      await proxy.refuse();
      return holder.pid;
    });
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
  },
);
