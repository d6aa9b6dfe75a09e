import { expect, test } from 'vitest';

import { setForDatabase } from '../support/baskets.ts';
import { useProxiedService } from '../support/fault-proxy.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together } from '../support/race.ts';
import { type TestService, useTestService } from '../support/service.ts';

/** Ends the connections of the service at the server, as a restart or a failover does. @returns how many */
async function terminateBackends({ database }: TestService, where = 'true'): Promise<number> {
  const ended = await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'orders-inventory' and ${where}`,
  );
  return ended.length;
}

test('5 idle connections ended by PostgreSQL, 5 times: the process lives, and the next request works', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  for (let round = 1; round <= 5; round++) {
    // Lists take a connection of their share each, and orders the one of the lane.
    await together(10, () => service.call('GET', '/orders'));
    await together(10, () => service.placeOrder(id, 1));
    expect(service.own.pools.lists.idleCount).toBe(4);
    expect(await terminateBackends(service)).toBeGreaterThanOrEqual(5);
    await expect.poll(() => service.own.pools.lists.totalCount, { interval: 5 }).toBe(0);
    expect((await service.call('GET', `/orders?status=PENDING`)).body).toHaveLength(round * 10);
  }
  await expectStockAddsUp(service.database);
});

test('20 orders at a time whose connections are ended while they work: 201 or 503 each, and only the 201 are stored', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct({ stock: 10_000 });
  let [ended, stored] = [0, 0];
  // Twenty orders are placed within a few milliseconds, so none of their connections may be met at work.
  for (let round = 1; ended === 0 && round <= 50; round++) {
    const state = { placing: true };
    const placing = together(20, () =>
      service.call('POST', '/orders', { product_id: id, quantity: 1 }),
    ).finally(() => {
      state.placing = false;
    });
    while (state.placing) ended += await terminateBackends(service, "state <> 'idle'");
    const { 201: placed = 0, 503: refused = 0 } = tally(await placing);
    expect(placed + refused).toBe(20);
    stored += placed;
  }
  expect(ended).toBeGreaterThan(0);
  expect(await service.database.query('select from orders')).toHaveLength(stored);
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  await expectStockAddsUp(service.database);
});

test('the database refuses connections: reads and writes are 503 with Retry-After at once, and all is back by itself', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  for (let round = 1; round <= 3; round++) {
    await proxy.refuse();
    const answers = await Promise.all([
      service.call('GET', `/products/${id}`),
      service.call('GET', '/products'),
      service.call('POST', '/orders', { product_id: id, quantity: 1 }),
      service.call('PATCH', `/products/${id}`, { name: 'Other' }),
      service.call('DELETE', `/products/${id}`),
      service.call('GET', '/readyz'),
    ]);
    expect(tally(answers)).toEqual({ 503: 6 });
    expect(answers.map(({ headers }) => headers['retry-after'])).toEqual(Array(6).fill('1'));
    expect(answers.map(({ body }) => body.code)).toEqual(Array(6).fill('service_unavailable'));
    // The refused connection ended them, no timeout.
    const lost = 'The database cannot be reached, try again';
    expect(answers.map(({ body }) => body.detail)).toEqual([
      ...Array(5).fill(lost),
      'The database is not ready',
    ]);
    const alive = await Promise.all(
      ['/healthz', '/health', '/metrics'].map((url) => service.call('GET', url)),
    );
    expect(tally(alive)).toEqual({ 200: 3 });

    await proxy.restore();
    const back = await Promise.all([
      service.call('GET', '/readyz'),
      service.call('GET', `/products/${id}`),
      service.call('PATCH', `/products/${id}`, { name: `Round ${round}` }),
    ]);
    expect(tally(back)).toEqual({ 200: 3 });
  }
  await expectStockAddsUp(database);
});

test('a webhook while the database is down is 503, never 200, and its retry is processed', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  const event = { event_type: 'payment.succeeded', order_id: order.id, event_id: 'evt-down' };
  await proxy.refuse();
  const down = await together(5, () => service.pay(event));
  expect(tally(down)).toEqual({ 503: 5 });
  expect(down.map(({ headers }) => headers['retry-after'])).toEqual(Array(5).fill('1'));
  const forged = await service.pay(event, { 'x-webhook-signature': `sha256=${'0'.repeat(64)}` });
  expect(forged.status).toBe(403);
  await proxy.restore();
  expect((await service.pay(event)).body).toMatchObject({ status: 'processed', new_status: 'PAID' });
  expect((await service.pay(event)).body.status).toBe('already_processed');
  await expectStockAddsUp(database);
});

/** A setting of the whole database; every connection of the service is ended, so that the next ones have it. */
async function setForAll(service: TestService, setting: string): Promise<void> {
  await service.database.query(
    `do $$ begin execute format('alter database %I set ${setting}', current_database()); end $$`,
  );
  await terminateBackends(service);
  const open = () => Object.values(service.own.pools).reduce((sum, { totalCount }) => sum + totalCount, 0);
  await expect.poll(open, { interval: 5 }).toBe(0);
}

test('the database has become read-only: writes are 503 with Retry-After, reads answer, and then writes again', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  await setForAll(service, 'default_transaction_read_only = on');
  const answer = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
  expect(answer.status).toBe(503);
  expect(answer.headers['retry-after']).toBe('1');
  expect((await service.call('GET', `/products/${id}`)).status).toBe(200);

  await setForAll(service, 'default_transaction_read_only = off');
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  await expectStockAddsUp(service.database);
});

test('a failover leaves 7 connections to a database that is read-only: each is given up at its first refused write', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  await setForAll(service, 'default_transaction_read_only = on');
  // What is open now stays read-only, whatever becomes of the database.
  // Every connection that edits have.
  const { changes } = service.own.pools;
  const opened = await Promise.all(Array.from({ length: 6 }, () => changes.connect()));
  for (const client of opened) client.release();
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(503);
  await setForDatabase(service.database, 'default_transaction_read_only', 'off');
  const edit = () => service.call('PATCH', `/products/${id}`, { name: 'Other' });
  expect(tally(await together(6, edit))).toEqual({ 503: 6 });
  expect(tally(await together(6, edit))).toEqual({ 200: 6 });
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  await expectStockAddsUp(service.database);
});

test('a standby refuses the start of 5 transactions: 503 each, and their connections serve the next reads', async () => {
  const service = await useTestService({ poolSize: 1 });
  const { id } = await service.createProduct();
  // What a standby says to the statement that goes with BEGIN.
  await service.database.query(
    `create function public.pg_current_xact_id() returns xid8 language plpgsql as $$
       begin raise exception 'cannot execute pg_current_xact_id() during recovery'
         using errcode = 'read_only_sql_transaction'; end $$`,
  );
  await setForAll(service, 'search_path = public, pg_catalog');
  for (let n = 1; n <= 5; n++) {
    const answer = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
    expect(answer.status).toBe(503);
    expect((await service.call('GET', `/products/${id}`)).status).toBe(200);
  }
  await service.database.query('drop function public.pg_current_xact_id()');
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  await expectStockAddsUp(service.database);
});
