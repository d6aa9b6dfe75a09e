import { expect, onTestFinished, test } from 'vitest';

import { useTestDatabase } from '../support/database.ts';
import { FaultProxy, useProxiedService } from '../support/fault-proxy.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { KeepAliveClient, startProcess } from '../support/process.ts';
import { tally, together, untilServed } from '../support/race.ts';
import type { Answer } from '../support/service.ts';

const UNREACHABLE = 'The database cannot be reached, try again';

async function timed(call: Promise<Answer>): Promise<Answer & { ms: number }> {
  const begun = performance.now();
  const answer = await call;
  return { ...answer, ms: performance.now() - begun };
}

test('the database falls silent: reads, writes and readiness are 503 with Retry-After within 8 s, liveness stays 200', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  const order = await service.placeOrder(id, 1);
  proxy.fallSilent();
  const answers = await Promise.all([
    service.call('GET', `/products/${id}`),
    service.call('GET', '/orders'),
    service.call('POST', '/orders', { product_id: id, quantity: 1 }),
    service.call('PATCH', `/products/${id}`, { name: 'Other' }),
    service.pay({ event_type: 'payment.succeeded', order_id: order.id }),
    service.call('GET', '/readyz'),
  ]);
  expect(tally(answers)).toEqual({ 503: 6 });
  expect(answers.map(({ headers }) => headers['retry-after'])).toEqual(Array(6).fill('1'));
  // The bounds on connections and statements ended them, before the deadline of 8 s.
  const details = answers.map(({ body }) => body.detail);
  expect(details).toEqual([...Array(5).fill(UNREACHABLE), 'The database is not ready']);
  expect((await service.call('GET', '/healthz')).status).toBe(200);

  await proxy.restore();
  expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  await expectStockAddsUp(database);
});

test('silence from COMMIT on: the request ends with 503 at its deadline of 8 s, its key gives the one order', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  const place = () =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': 'deadline' });
  proxy.failCommits('silence');
  const placing = timed(place());
  // Connections that were opened before are silent as well, so nothing can be asked.
  await expect.poll(() => database.query('select from orders'), { interval: 5 }).toHaveLength(1);
  proxy.fallSilent();
  const answer = await placing;
  expect(answer.status).toBe(503);
  expect(answer.headers['retry-after']).toBe('1');
  expect(answer.body.detail).toBe('The request took too long, try again');
  expect(answer.ms).toBeGreaterThan(7500);

  await proxy.restore();
  const retried = await place();
  expect(retried.status).toBe(201);
  expect(retried.headers['idempotency-replayed']).toBe('true');
  expect(await database.query('select from orders')).toHaveLength(1);
  await expectStockAddsUp(database);
});

test('5 idle connections die without a word: one caller gets 503 after 5 s, the next 10 are served at once', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  await together(10, () => service.call('GET', '/orders'));
  await service.placeOrder(id, 1);
  expect(service.own.pools.lists.idleCount).toBe(4);
  proxy.fallSilent();
  proxy.healNewConnections();

  const first = await service.call('GET', '/orders');
  expect(first.status).toBe(503);
  expect(first.body.detail).toBe(UNREACHABLE);
  for (let n = 0; n < 5; n++) {
    const next = await service.call('GET', '/orders');
    expect(next.status).toBe(200);
    expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  }
  await expectStockAddsUp(database);
});

test('an order is lost in silence with its product locked: the lock is given back when the order is, after 5 s', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  const place = () => service.call('POST', '/orders', { product_id: id, quantity: 1 });
  proxy.failNext(/for update/, 'silence');
  expect((await place()).status).toBe(503);
  const refusals: Answer[] = [];
  expect((await untilServed(place, refusals)).status).toBe(201);
  // Each waits for the lock for 1 s. If the lock came back only with the transaction's own timeout, after 10 s, there would be five.
  expect(refusals.length).toBeLessThan(4);
  await expectStockAddsUp(database);
});

const order = (client: KeepAliveClient) => client.call('POST', '/orders', { product_id: 1, quantity: 1 });

test('SIGTERM while the database is silent and 20 requests wait for it: each is answered, exit 0 within 10 s', async () => {
  const database = await useTestDatabase();
  const proxy = await FaultProxy.start(database.url);
  onTestFinished(() => proxy.close());
  const service = await startProcess({ DATABASE_URL: proxy.urlOf(database.url) });
  const clients = Array.from({ length: 20 }, () => new KeepAliveClient(service.url));
  // They have their connections; none of them is at the door when it closes.
  for (const client of clients) expect((await client.call('GET', '/healthz')).status).toBe(200);
  const [seller] = clients;
  const product = { sku: 'SOLD', name: 'Sold', price: 1, stock: 100 };
  expect((await seller?.call('POST', '/products', product))?.status).toBe(201);
  // The first order goes on to ask what became of its COMMIT, for longer than a stop may take.
  proxy.failCommits('silence');
  const first = clients.slice(0, 1).map(order);
  await expect.poll(() => proxy.faultsLeft, { interval: 5 }).toBe(0);
  proxy.fallSilent();
  const others = clients.slice(1).map((client, n) => (n < 9 ? order(client) : client.call('GET', '/orders')));
  const waiting = Promise.allSettled([...first, ...others]);
  // The lists, which were asked for last, have taken the 4 connections that they have.
  await expect.poll(() => proxy.silentLeft).toBeGreaterThan(4);
  const ending = service.end('SIGTERM');
  const answers = await waiting;
  expect(
    answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.status : answer.reason)),
  ).toEqual(Array(20).fill(503));
  for (const client of clients) client.close();
  // Past its bound of 9.5 s, it would have ended with 1.
  expect(await ending).toMatchObject({ code: 0, signal: null });
});
