import { expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import { tally, together, useRacingService } from '../support/race.ts';

test('one Idempotency-Key and 60 callers: one order, 60 equal answers, 59 of them replays', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 100 });
  const body = { product_id: id, quantity: 2 };
  const answers = await together(60, () =>
    service.call('POST', '/orders', body, { 'idempotency-key': 'the-only-one' }),
  );
  expect(tally(answers)).toEqual({ 201: 60 });
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(new Set(answers.map(({ headers }) => headers['location'])).size).toBe(1);
  expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(59);
  expect(await service.database.query('select from orders')).toHaveLength(1);
  await expectStockAddsUp(service.database);
});

test('one Idempotency-Key and 60 callers at two instances: one order, 60 equal answers', async () => {
  const service = await useRacingService();
  const other = await useRacingService({ database: service.database });
  const { id } = await service.createProduct({ stock: 1 });
  const body = { product_id: id, quantity: 1 };
  const answers = await together(60, (caller) =>
    (caller % 2 === 0 ? service : other).call('POST', '/orders', body, { 'idempotency-key': 'shared' }),
  );
  expect(tally(answers)).toEqual({ 201: 60 });
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  await expectStockAddsUp(service.database);
});

test('one Idempotency-Key and 40 callers creating a product: one product, 40 equal answers', async () => {
  const service = await useRacingService();
  const body = { sku: 'ONCE', name: 'Once', price: 1, stock: 5 };
  const answers = await together(40, () =>
    service.call('POST', '/products', body, { 'idempotency-key': 'product' }),
  );
  expect(tally(answers)).toEqual({ 201: 40 });
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  await expectStockAddsUp(service.database);
});

test('one key for 30 callers of one order and 30 of another: one command wins all its 30, the others get 409', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 100 });
  const answers = await together(60, (caller) =>
    service.call(
      'POST',
      '/orders',
      { product_id: id, quantity: 1 + (caller % 2) },
      { 'idempotency-key': 'two-commands' },
    ),
  );
  expect(tally(answers)).toEqual({ 201: 30, 409: 30 });
  const refusals = answers.filter(({ status }) => status === 409);
  expect(new Set(refusals.map(({ body }) => body.code))).toEqual(new Set(['idempotency_key_reused']));
  expect(await service.database.query('select from orders')).toHaveLength(1);
  await expectStockAddsUp(service.database);
});

test('40 callers with one key for more than there is: all are refused, and the key is free afterwards', async () => {
  const service = await useRacingService();
  const { id } = await service.createProduct({ stock: 1 });
  const order = () =>
    service.call('POST', '/orders', { product_id: id, quantity: 2 }, { 'idempotency-key': 'again' });
  expect(tally(await together(40, order))).toEqual({ 409: 40 });
  await service.call('PATCH', `/products/${id}`, { stock: 2 });
  const answer = await order();
  expect(answer.status).toBe(201);
  expect(answer.headers).not.toHaveProperty('idempotency-replayed');
  await expectStockAddsUp(service.database);
});
