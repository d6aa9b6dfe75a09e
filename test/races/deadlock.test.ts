import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';

import { connectForeign, setForDatabase, waitingForLock } from '../support/baskets.ts';
import { type TestDatabase, useTestDatabase } from '../support/database.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { expectOnlyLateRefusals, recordFailures, tally, together, untilServed } from '../support/race.ts';
import { type Answer, type TestService, useTestService } from '../support/service.ts';

/** What one buyer does after the order: nothing, a cancel, or a payment event, by turns. */
function settle(service: TestService, turn: number, order: Answer): Promise<Answer> {
  const id: number = order.body.id;
  switch (turn % 5) {
    case 0:
      return service.call('DELETE', `/orders/${id}`);
    case 1:
      return service.pay({ event_type: 'payment.failed', order_id: id, event_id: `failed-${id}` });
    case 2:
      return service.pay({ event_type: 'payment.succeeded', order_id: id, event_id: `paid-${id}` });
    case 3:
      return service.call('PUT', `/orders/${id}`, { status: 'PAID' });
    default:
      return Promise.resolve(order);
  }
}

/** A database that finds a deadlock within 20 ms, long before a statement gives up its wait for a lock and hides it. */
async function useWatchedDatabase(): Promise<TestDatabase> {
  const database = await useTestDatabase();
  await setForDatabase(database, 'deadlock_timeout', "'20ms'");
  return database;
}

test('300 baskets [A,B] cross 300 baskets [B,A], with cancels and webhooks between: no deadlock, all are served', async () => {
  const service = await useTestService({ database: await useWatchedDatabase() });
  const failures = recordFailures(service);
  const refusals: Answer[] = [];
  const a = await service.createProduct({ stock: 1000 });
  const b = await service.createProduct({ stock: 1000 });
  const answers = await together(600, async (turn) => {
    const ids = turn % 2 === 0 ? [a.id, b.id] : [b.id, a.id];
    const items = ids.map((product_id) => ({ product_id, quantity: 1 }));
    const order = await untilServed(() => service.call('POST', '/orders', { items }), refusals);
    return [order, await untilServed(() => settle(service, turn, order), refusals)];
  });
  expect(tally(answers.map(([order]) => order as Answer))).toEqual({ 201: 600 });
  expect(tally(answers.map(([, settled]) => settled as Answer))).toEqual({ 200: 360, 201: 120, 204: 120 });
  expectOnlyLateRefusals(failures, refusals);
  const product = await service.call('GET', `/products/${a.id}`);
  expect(product.body).toMatchObject({ stock: 640, reserved: 360, on_hand: 1000 });
  await expectStockAddsUp(service.database);
});

test('100 orders and 100 adjustments of one product, each pair with one key: one of each pair counts, and nobody waits in a circle', async () => {
  const service = await useTestService();
  const failures = recordFailures(service);
  const { id } = await service.createProduct({ stock: 1000 });
  const answers = await together(
    200,
    (n) => {
      const key = { 'idempotency-key': `pair-${Math.floor(n / 2)}` };
      return n % 2 === 0
        ? service.call('POST', '/orders', { product_id: id, quantity: 1 }, key)
        : service.call('POST', `/products/${id}/stock-adjustments`, { delta: 1, reason: 'found' }, key);
    },
    40,
  );
  expect(tally(answers)).toEqual({ 201: 100, 409: 100 });
  // Whoever comes second with a key may fail at its unique index, and is then told; nobody times out.
  expect(failures.filter((code) => code !== '23505')).toEqual([]);
  await expectStockAddsUp(service.database);
});

test('210 baskets of 3 out of 5 products in changing order, over two instances: all are placed and shipped', async () => {
  const service = await useTestService({ database: await useWatchedDatabase() });
  const other = await useTestService({ database: service.database });
  const failures = [recordFailures(service), recordFailures(other)];
  const refusals: Answer[] = [];
  const products = await together(5, () => service.createProduct({ stock: 1000 }));
  const answers = await together(210, async (turn) => {
    const at = turn % 2 === 0 ? service : other;
    // Three in a row, from any start and in either direction: every pair of products meets in both orders.
    const step = turn % 3 === 0 ? 1 : 4;
    const items = [0, 1, 2].map((n) => ({ product_id: products[(turn + n * step) % 5]?.id, quantity: 1 }));
    const order = await untilServed(() => at.call('POST', '/orders', { items }), refusals);
    const move = (status: string) =>
      untilServed(() => at.call('PUT', `/orders/${order.body.id}`, { status }), refusals);
    await move('PAID');
    return move('SHIPPED');
  });
  expect(tally(answers)).toEqual({ 200: 210 });
  expectOnlyLateRefusals(failures.flat(), refusals);
  const { body } = await service.call('GET', '/products');
  expect(body.map((product: { stock: number }) => product.stock)).toEqual([874, 874, 874, 874, 874]);
  await expectStockAddsUp(service.database);
});

test('a basket [B,A] that waits for A does not hold B yet: products are locked in the order of their ids', async () => {
  const service = await useTestService();
  const a = await service.createProduct();
  const b = await service.createProduct();
  const foreign = new pg.Client({ connectionString: service.database.url });
  await foreign.connect();
  onTestFinished(() => foreign.end());
  await foreign.query('begin');
  await foreign.query('select from products where id = $1 for update', [a.id]);

  const items = [b.id, a.id].map((product_id) => ({ product_id, quantity: 1 }));
  const order = service.call('POST', '/orders', { items });
  await expect.poll(() => waiting(service), { interval: 5 }).toBe(1);
  await service.database.query('select from products where id = $1 for update nowait', [b.id]);
  await foreign.query('rollback');
  expect((await order).status).toBe(201);
  await expectStockAddsUp(service.database);
});

async function waiting(service: TestService): Promise<number> {
  const rows = await service.database.query(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.length;
}

test('a batch that counts a repeat and applies what was refused before, against one that does both the other way around: no circle', async () => {
  const service = await useTestService();
  const { database } = service;
  const failures = recordFailures(service);
  const { id } = await service.createProduct();
  const [paid, blocked] = await together(2, () => service.placeOrder(id, 1));
  const deliver = (orderId: number | undefined, eventId: string) =>
    service.pay({ event_type: 'payment.succeeded', order_id: orderId, event_id: eventId });
  expect((await deliver(paid?.id, 'known')).status).toBe(200);
  const nextId = Math.max(paid?.id ?? 0, blocked?.id ?? 0) + 1;
  expect((await deliver(nextId, 'refused')).status).toBe(404);
  await expect
    .poll(() => database.query("select from inbound_deliveries where outcome = 'failed'"))
    .toHaveLength(1);
  expect((await service.placeOrder(id, 1)).id).toBe(nextId);

  // Both lanes wait for an order, so that the two deliveries which come then are one batch.
  const [keeper, counter] = [await connectForeign(database), await connectForeign(database)];
  await keeper.query('begin');
  await keeper.query('select from orders where id = $1 for update', [blocked?.id]);
  const before = [deliver(blocked?.id, 'first'), deliver(blocked?.id, 'second')];
  await expect.poll(() => waitingForLock(database), { interval: 5 }).toBe(2);
  const batch = [deliver(nextId, 'refused'), deliver(paid?.id, 'known')];
  await counter.query('begin');
  await counter.query("select from inbound_deliveries where identity = 'event:known' for no key update");
  await keeper.query('rollback');
  await Promise.all(before);
  await expect.poll(() => waitingForLock(database), { interval: 5 }).toBe(1);
  await counter.query("set local lock_timeout = '200ms'");
  await counter.query(
    "update inbound_deliveries set deliveries = deliveries + 1 where identity = 'event:refused'",
  );
  await counter.query('commit');
  const answers = await Promise.all(batch);
  expect(answers.map(({ body }) => body.status)).toEqual(['processed', 'already_processed']);
  expect(failures).toEqual([]);
  await expectStockAddsUp(database);
});
