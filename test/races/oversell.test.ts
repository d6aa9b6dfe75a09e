import { expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together, useRacingService } from '../support/race.ts';
import type { Answer, TestService } from '../support/service.ts';

/** The refused were told so, the counters are at their ends, and there are as many orders as pieces. */
async function expectSold(service: TestService, productId: number, answers: Answer[], pieces: number) {
  const refusals = answers.filter(({ status }) => status === 409).map(({ body }) => body);
  expect(new Set(refusals.map(({ detail }) => detail))).toEqual(
    new Set(['Insufficient stock. Available: 0, Requested: 1']),
  );
  const product = await service.call('GET', `/products/${productId}`);
  expect(product.body).toMatchObject({ stock: 0, reserved: pieces, on_hand: pieces });
  // Raised once by every transaction that sold some, which is never more often than there were orders.
  expect(product.body.version).toBeGreaterThan(1);
  expect(product.body.version).toBeLessThanOrEqual(pieces + 1);
  const orders = await service.database.query('select count(*)::int as count from orders');
  expect(orders).toEqual([{ count: pieces }]);
  await expectStockAddsUp(service.database);
}

test('600 buyers race for 100 pieces: exactly 100 win, stock ends at 0', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 100 });
  const answers = await together(
    600,
    () => service.call('POST', '/orders', { product_id: id, quantity: 1 }),
    600,
  );
  expect(tally(answers)).toEqual({ 201: 100, 409: 500 });
  await expectSold(service, id, answers, 100);
});

test('600 buyers race for 100 pieces at two instances on one database: exactly 100 win', async () => {
  const service = await useRacingService();
  const other = await useRacingService({ database: service.database });
  const { id } = await service.createProduct({ stock: 100 });
  const answers = await together(
    600,
    (buyer) => (buyer % 2 === 0 ? service : other).call('POST', '/orders', { product_id: id, quantity: 1 }),
    600,
  );
  expect(tally(answers)).toEqual({ 201: 100, 409: 500 });
  await expectSold(service, id, answers, 100);
});

test('600 buyers race for 100 pieces over a pool of 2 connections: exactly 100 win', async () => {
  const service = await useRacingService({ poolSize: 2 });
  const { id } = await service.createProduct({ stock: 100 });
  const answers = await together(
    600,
    () => service.call('POST', '/orders', { product_id: id, quantity: 1 }),
    600,
  );
  expect(tally(answers)).toEqual({ 201: 100, 409: 500 });
  await expectSold(service, id, answers, 100);
});

test('500 buyers race for 7 pieces: exactly 7 win', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 7 });
  const answers = await together(
    500,
    () => service.call('POST', '/orders', { product_id: id, quantity: 1 }),
    500,
  );
  expect(tally(answers)).toEqual({ 201: 7, 409: 493 });
  await expectSold(service, id, answers, 7);
});

test('50 parallel orders over a pool of 2 connections all finish: no order needs a second connection', async () => {
  const service = await useRacingService({ poolSize: 2 });
  const { id } = await service.createProduct({ stock: 50 });
  const answers = await together(50, (buyer) =>
    service.call('POST', '/orders', { product_id: id, quantity: 1 }, { 'idempotency-key': `buyer-${buyer}` }),
  );
  expect(tally(answers)).toEqual({ 201: 50 });
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(50);
  await expectStockAddsUp(service.database);
});

test('200 buyers of 3 to 5 pieces race for 100: what is sold and what is left make 100', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 100 });
  const answers = await together(200, (buyer) =>
    service.call('POST', '/orders', { product_id: id, quantity: 3 + (buyer % 3) }),
  );
  const sold = answers.filter(({ status }) => status === 201).map(({ body }) => body.quantity as number);
  const { body } = await service.call('GET', `/products/${id}`);
  expect(sold.reduce((sum, quantity) => sum + quantity, 0)).toBe(100 - body.stock);
  // A buyer of 3 is among the refused, so fewer than 3 are left.
  expect(body.stock).toBeLessThan(3);
  await expectStockAddsUp(service.database);
});

test('100 baskets of the same 3 products with 10 sets in stock: 10 sell whole, no basket sells in part', async () => {
  const service = await useRacingService();
  const products = await together(3, () => service.createProduct({ stock: 10 }));
  const items = products.map(({ id }) => ({ product_id: id, quantity: 1 }));
  const answers = await together(100, () => service.call('POST', '/orders', { items }));
  expect(tally(answers)).toEqual({ 201: 10, 409: 90 });
  const lines = await service.database.query(
    'select count(*)::int as lines from order_items group by order_id order by order_id',
  );
  expect(lines).toEqual(Array.from({ length: 10 }, () => ({ lines: 3 })));
  await expectStockAddsUp(service.database);
});

test('orders race for pieces that cancels give back: 30 pieces are never sold twice at a time', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 30 });
  const buy = async () => {
    const bought = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
    if (bought.status !== 201) return bought;
    return service.call('DELETE', `/orders/${bought.body.id}`);
  };
  const answers = await together(150, buy);
  const { 204: canceled = 0, 409: refused = 0 } = tally(answers);
  expect(canceled + refused).toBe(150);
  expect(canceled).toBeGreaterThanOrEqual(30);
  const { body } = await service.call('GET', `/products/${id}`);
  expect(body).toMatchObject({ stock: 30, reserved: 0, on_hand: 30 });
  await expectStockAddsUp(service.database);
});
