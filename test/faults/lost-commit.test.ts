import { expect, test } from 'vitest';

import { type StatementFault, useProxiedService } from '../support/fault-proxy.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together } from '../support/race.ts';

const cuts: [string, StatementFault][] = [
  ['right after COMMIT was sent', 'cut-after'],
  ['before COMMIT arrives', 'cut-before'],
];

test.each(cuts)(
  'a connection cut %s, 20 times: the caller gets 201 each time, and each order is stored once',
  async (_when, fault) => {
    const { service, proxy, database } = await useProxiedService();
    const { id } = await service.createProduct({ stock: 20 });
    for (let round = 1; round <= 20; round++) {
      proxy.failCommits(fault);
      const answer = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
      expect(answer.status).toBe(201);
      expect(proxy.faultsLeft).toBe(0);
      const stored = await database.query<{ id: string }>('select id from orders order by id desc');
      expect(stored).toHaveLength(round);
      expect(Number(stored[0]?.id)).toBe(answer.body.id);
    }
    const { body } = await service.call('GET', `/products/${id}`);
    expect(body).toMatchObject({ stock: 0, reserved: 20, version: 21 });
    await expectStockAddsUp(database);
  },
);

test.each(cuts)(
  'a payment event with its connection cut %s, 20 times: processed once each, and known afterwards',
  async (_when, fault) => {
    const { service, proxy, database } = await useProxiedService();
    const { id } = await service.createProduct({ stock: 20 });
    for (let round = 1; round <= 20; round++) {
      const order = await service.placeOrder(id, 1);
      const event = { event_type: 'payment.succeeded', order_id: order.id, event_id: `evt-${round}` };
      proxy.failCommits(fault);
      expect((await service.pay(event)).body).toMatchObject({ status: 'processed', new_status: 'PAID' });
      expect((await service.pay(event)).body).toMatchObject({ status: 'already_processed' });
    }
    const events = await database.query("select from events where type = 'order.paid'");
    expect(events).toHaveLength(20);
    await expectStockAddsUp(database);
  },
);

test('250 orders at once while 1 COMMIT is cut after and 1 before: 250 times 201, 250 orders', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct({ stock: 250 });
  // They share three transactions, so there are hardly more COMMITs to cut.
  proxy.failCommits('cut-after', 'cut-before');
  const answers = await together(250, (buyer) =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': `buyer-${buyer}` }),
  );
  expect(tally(answers)).toEqual({ 201: 250 });
  expect(proxy.faultsLeft).toBe(0);
  const stored = await database.query<{ id: string }>('select id from orders order by id');
  const answered = answers.map(({ body }) => body.id as number).toSorted((a, b) => a - b);
  expect(stored.map((row) => Number(row.id))).toEqual(answered);
  await expectStockAddsUp(database);
});

test('COMMIT fails for good, 4 tries of 4: 503 with Retry-After, nothing is stored, the key can be tried again', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  const order = () =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': 'again' });
  proxy.failCommits('cut-before', 'cut-before', 'cut-before', 'cut-before');
  const refused = await order();
  expect(refused.status).toBe(503);
  expect(refused.headers['retry-after']).toBe('1');
  expect(await database.query('select from orders')).toHaveLength(0);
  const retried = await order();
  expect(retried.status).toBe(201);
  expect(retried.headers).not.toHaveProperty('idempotency-replayed');
  await expectStockAddsUp(database);
});

test('COMMIT succeeds but the database is gone before it can be asked: 503, and the key gives that one order', async () => {
  const { service, proxy, database } = await useProxiedService();
  const { id } = await service.createProduct();
  const order = () =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': 'lost' });
  // The database is away from the moment that the COMMIT is stored until the caller has its answer.
  proxy.failCommits('silence');
  const answering = order();
  await expect.poll(() => database.query('select from orders'), { interval: 5 }).toHaveLength(1);
  await proxy.refuse();
  const lost = await answering;
  expect(lost.status).toBe(503);
  expect(lost.headers['retry-after']).toBe('1');
  expect(lost.body.detail).toBe('It is not known whether the change is stored; ask again with the same key');

  await proxy.restore();
  const retried = await order();
  expect(retried.status).toBe(201);
  expect(retried.headers['idempotency-replayed']).toBe('true');
  expect(await database.query('select from orders')).toHaveLength(1);
  await expectStockAddsUp(database);
});
