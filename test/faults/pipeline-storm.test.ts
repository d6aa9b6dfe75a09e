import { setTimeout as sleep } from 'node:timers/promises';

import { expect, onTestFinished, test } from 'vitest';

import type { TestDatabase } from '../support/database.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together } from '../support/race.ts';
import { type Answer, useTestService } from '../support/service.ts';

const KILLS = 60;
const KILL_EVERY_MS = 50;

/** Ends every connection of the service. @returns how many there were */
async function killConnections(database: TestDatabase): Promise<number> {
  const rows = await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'orders-inventory'`,
  );
  return rows.length;
}

test('1,000 buyers order while every connection is killed 60 times, each 50 ms: what was answered is stored, once a key', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => {
    process.off('warning', onWarning);
  });
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 1_000_000 });
  const answers: Answer[] = [];
  const settled = new Set<string>();
  /** What buyers were told, as `key is order`. */
  const told = new Set<string>();
  const order = async (key: string) => {
    const answer = await service.call(
      'POST',
      '/orders',
      { product_id: id, quantity: 1 },
      { 'idempotency-key': key },
    );
    answers.push(answer);
    if (answer.status !== 201) return false;
    settled.add(key);
    told.add(`${key} is ${answer.body.id}`);
    return true;
  };

  const weather = { over: false };
  let killed = 0;
  const storm = (async () => {
    for (let n = 0; n < KILLS; n++) {
      killed += await killConnections(service.database);
      await sleep(KILL_EVERY_MS);
    }
    weather.over = true;
  })();
  const keys = new Set<string>();
  await together(1000, async (buyer) => {
    for (let turn = 0; !weather.over; turn++) {
      const key = `${buyer}-${turn}`;
      keys.add(key);
      while (!(await order(key)) && !weather.over) await sleep(Math.random() * 100);
    }
  });
  await storm;

  expect(killed).toBeGreaterThan(KILLS / 2);
  const statuses = tally(answers);
  expect(Object.keys(statuses)).toEqual(['201', '503']);
  expect(statuses[201]).toBeGreaterThan(100);
  const refusals = answers.filter(({ status }) => status === 503);
  expect(new Set(refusals.map(({ headers }) => headers['retry-after']))).toEqual(new Set(['1']));

  // Back to normal: nobody is refused any more. Who does not know what became of an order asks with its key, and so do
  // 200 who know.
  const asking = [...keys].filter((key) => !settled.has(key)).concat([...settled].slice(0, 200));
  expect(new Set(await Promise.all(asking.map((key) => order(key))))).toEqual(new Set([true]));
  const stored = await service.database.query<{ key: string; id: number }>(
    `select k.key, (k.response ->> 'id')::int as id
       from idempotency_keys k join orders o on o.id = (k.response ->> 'id')::bigint`,
  );
  expect(new Set(stored.map((row) => `${row.key} is ${row.id}`))).toEqual(told);
  expect(await service.database.query('select count(*)::int as count from orders')).toEqual([
    { count: keys.size },
  ]);
  await expectStockAddsUp(service.database);
  expect(warnings).toEqual([]);
});

test('20 buyers and 20 readers at once: no read is older than an answer that was given before it was asked', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 300 });
  let sold = 0;
  const buyers = { left: 20 };
  const buy = async () => {
    for (let turn = 0; turn < 15; turn++) {
      const order = await service.placeOrder(id, 1);
      sold++;
      const placed = await service.call('GET', `/orders/${order.id}`);
      expect(placed.body).toMatchObject({ id: order.id, status: 'PENDING', version: 1 });
      if (turn % 3 > 0) continue;
      for (const [step, status] of ['PAID', 'SHIPPED'].entries()) {
        expect((await service.call('PUT', `/orders/${order.id}`, { status })).status).toBe(200);
        const moved = await service.call('GET', `/orders/${order.id}`);
        expect(moved.body).toMatchObject({ id: order.id, status, version: 2 + step });
      }
    }
    buyers.left--;
  };
  let reads = 0;
  const read = async () => {
    let version = 0;
    while (buyers.left > 0) {
      const soldBefore = sold;
      const { body } = await service.call('GET', `/products/${id}`);
      expect(300 - body.stock).toBeGreaterThanOrEqual(soldBefore);
      expect(body.version).toBeGreaterThanOrEqual(version);
      version = body.version;
      reads++;
    }
  };
  await Promise.all([together(20, buy), together(20, read)]);
  expect(reads).toBeGreaterThan(100);
  await expectStockAddsUp(service.database);
});
