import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';

import type { TestDatabase } from '../support/database.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { recordFailures, tally, together } from '../support/race.ts';
import { useTestService } from '../support/service.ts';

/** A transaction on a connection of its own, rolled back when the connection or the test ends. */
async function openForeign(database: TestDatabase) {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('begin');
  return client;
}

async function timed<T>(work: Promise<T>): Promise<{ answer: T; ms: number }> {
  const begun = performance.now();
  return { answer: await work, ms: performance.now() - begun };
}

test('a foreign transaction holds 5 products: a write to each is 503 with Retry-After in 1 s, reads go on', async () => {
  const service = await useTestService();
  const { database } = service;
  const products = await together(5, () => service.createProduct());
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = products.map(({ id }) => id);
  const canceled = await service.placeOrder(c, 1);
  const failed = await service.placeOrder(d, 1);
  const foreign = await openForeign(database);
  await foreign.query('select from products for update');

  const failures = recordFailures(service);
  const writes = await Promise.all(
    [
      service.call('POST', '/orders', { product_id: a, quantity: 1 }),
      service.call('PATCH', `/products/${b}`, { stock: 5 }),
      service.call('DELETE', `/orders/${canceled.id}`),
      service.pay({ event_type: 'payment.failed', order_id: failed.id }),
      service.call('DELETE', `/products/${e}`),
    ].map(timed),
  );
  for (const { answer, ms } of writes) {
    expect(answer.body).toMatchObject({ status: 503, code: 'service_unavailable' });
    expect(answer.headers['retry-after']).toBe('1');
    expect(ms).toBeGreaterThan(900);
  }
  // Each write gave up at its lock_timeout of 1 s (55P03), not at a later bound.
  expect(new Set(failures)).toEqual(new Set(['55P03']));
  // The transaction still holds all of them.
  const read = await service.call('GET', `/products/${c}`);
  expect([read.status, read.body.stock]).toEqual([200, 99]);

  await foreign.query('rollback');
  expect((await service.call('DELETE', `/orders/${canceled.id}`)).status).toBe(204);
  await expectStockAddsUp(database);
});

test('10 orders queue for a product that is held: 503 each, after a wait that they share', async () => {
  const service = await useTestService();
  const { database } = service;
  const { id } = await service.createProduct();
  const foreign = await openForeign(database);
  await foreign.query('select from products for update');
  const failures = recordFailures(service);
  const orders = await together(10, () => service.call('POST', '/orders', { product_id: id, quantity: 1 }));
  expect(tally(orders)).toEqual({ 503: 10 });
  // PostgreSQL ended each wait by a timeout, and orders share their waits: one by one, they would be ten.
  expect(failures.filter((code) => code !== '55P03' && code !== '57014')).toEqual([]);
  expect(failures.length).toBeLessThan(5);
  await foreign.query('rollback');
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  await expectStockAddsUp(database);
});

test('a product that is let go after 0.3 s: the order that waited is placed', async () => {
  const { database, ...service } = await useTestService();
  const { id } = await service.createProduct();
  const foreign = await openForeign(database);
  await foreign.query('select from products where id = $1 for update', [id]);
  const placing = service.call('POST', '/orders', { product_id: id, quantity: 1 });
  await foreign.query('select pg_sleep(0.3)');
  await foreign.query('commit');
  expect((await placing).status).toBe(201);
  await expectStockAddsUp(database);
});

test('the first call with a key still runs: the second waits 1 s and gets 409 with Retry-After, later its answer', async () => {
  const service = await useTestService();
  const { database } = service;
  const { id } = await service.createProduct();
  const failures = recordFailures(service);
  const order = () =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': 'slow' });
  const foreign = await openForeign(database);
  await foreign.query("insert into idempotency_keys (scope, key, fingerprint) values ('', 'slow', '')");

  const { answer, ms } = await timed(order());
  expect(answer.body).toMatchObject({ status: 409, code: 'idempotency_key_in_progress' });
  expect(answer.headers['retry-after']).toBe('1');
  expect(ms).toBeGreaterThan(900);
  expect(new Set(failures)).toEqual(new Set(['55P03']));
  expect(await database.query('select from orders')).toHaveLength(0);

  await foreign.query('rollback');
  expect((await order()).status).toBe(201);
  expect((await order()).headers['idempotency-replayed']).toBe('true');
  await expectStockAddsUp(database);
});

test('another transaction stores the same payment event right now: 503 after 1 s, then it is known or it is the first', async () => {
  const { database, ...service } = await useTestService();
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  const foreign = await openForeign(database);
  await foreign.query(
    `insert into inbound_deliveries (identity, event_type, order_id, scheme, outcome, raw_body, actor)
     values ('event:same', 'payment.succeeded', $1, 'standard-webhooks', 'processed', '', 'test')`,
    [order.id],
  );
  const event = { event_type: 'payment.succeeded', order_id: order.id, event_id: 'same' };
  const waited = await service.pay(event);
  expect(waited.status).toBe(503);
  expect(waited.headers['retry-after']).toBe('1');
  await foreign.query('rollback');
  expect((await service.pay(event)).body.status).toBe('processed');
  await expectStockAddsUp(database);
});

test('a statement that PostgreSQL cancels under a waiting order: 503 with Retry-After, nothing is stored', async () => {
  const { database, ...service } = await useTestService();
  const { id } = await service.createProduct();
  const foreign = await openForeign(database);
  await foreign.query('select from products where id = $1 for update', [id]);
  const placing = service.call('POST', '/orders', { product_id: id, quantity: 1 });
  const cancel = `select pg_cancel_backend(pid) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'`;
  await expect.poll(() => database.query(cancel), { interval: 5 }).toHaveLength(1);
  const answer = await placing;
  expect(answer.status).toBe(503);
  expect(answer.headers['retry-after']).toBe('1');
  expect(await database.query('select from orders')).toHaveLength(0);
  await expectStockAddsUp(database);
});
