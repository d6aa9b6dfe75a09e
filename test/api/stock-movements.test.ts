import { beforeAll, describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

const BY = { actor: 'anonymous', request_id: 'the-request' };
const REQUEST = { 'x-request-id': 'the-request' };

/** What the movements of a product say, without their ids and times. */
async function ledger(id: number, query = '') {
  const { status, body, text } = await service.call('GET', `/products/${id}/stock-movements?${query}`);
  if (status !== 200) throw new Error(text);
  return body.map(({ id: _id, created_at: _time, ...movement }: Record<string, unknown>) => movement);
}

async function kinds(id: number, query = ''): Promise<string> {
  return (await ledger(id, query)).map(({ kind }: { kind: string }) => kind).join(' ');
}

let id: number;
let canceled: number;
let shipped: number;
let times: string[];
beforeAll(async () => {
  const product = { sku: 'LEDGER', name: 'x', price: 1, stock: 100 };
  ({ id } = (await service.call('POST', '/products', product, REQUEST)).body);
  await service.call('PATCH', `/products/${id}`, { stock: 40 }, REQUEST);
  const order = { product_id: id, quantity: 10 };
  canceled = (await service.call('POST', '/orders', order, REQUEST)).body.id;
  await service.call('DELETE', `/orders/${canceled}`, undefined, REQUEST);
  shipped = (await service.call('POST', '/orders', order, REQUEST)).body.id;
  for (const status of ['PAID', 'SHIPPED']) {
    await service.call('PUT', `/orders/${shipped}`, { status }, REQUEST);
  }
  const adjustment = { delta: 5, kind: 'received', reason: 'delivery', note: 'Delivery 4711' };
  await service.call('POST', `/products/${id}/stock-adjustments`, adjustment, REQUEST);
  const { body } = await service.call('GET', `/products/${id}/stock-movements?sort=id`);
  times = body.map(({ created_at }: { created_at: string }) => created_at);
});

test('the whole life of a product, newest first, with who, why and the balances after each', async () => {
  const whole = { product_id: id, order_id: null, reason: null, note: null, ...BY };
  expect(await ledger(id)).toEqual([
    {
      ...whole,
      kind: 'received',
      delta: 5,
      on_hand_after: 35,
      reserved_after: 0,
      reason: 'delivery',
      note: 'Delivery 4711',
    },
    { ...whole, kind: 'shipped', delta: -10, on_hand_after: 30, reserved_after: 0, order_id: shipped },
    { ...whole, kind: 'reserved', delta: 10, on_hand_after: 40, reserved_after: 10, order_id: shipped },
    { ...whole, kind: 'released', delta: -10, on_hand_after: 40, reserved_after: 0, order_id: canceled },
    { ...whole, kind: 'reserved', delta: 10, on_hand_after: 40, reserved_after: 10, order_id: canceled },
    { ...whole, kind: 'adjusted', delta: -60, on_hand_after: 40, reserved_after: 0, reason: 'stock set' },
    {
      ...whole,
      kind: 'received',
      delta: 100,
      on_hand_after: 100,
      reserved_after: 0,
      reason: 'initial stock',
    },
  ]);
  expect((await ledger(id, 'sort=id')).toReversed()).toEqual(await ledger(id));
});

test('another product has a ledger of its own, which may be empty', async () => {
  const other = await service.createProduct({ stock: 0 });
  expect(await ledger(other.id)).toEqual([]);
});

test('by kind, by order, and by both', async () => {
  expect(await kinds(id, 'kind=received')).toBe('received received');
  expect(await kinds(id, 'kind=adjusted')).toBe('adjusted');
  expect(await kinds(id, 'kind=reserved')).toBe('reserved reserved');
  expect(await kinds(id, 'kind=released')).toBe('released');
  expect(await kinds(id, 'kind=shipped')).toBe('shipped');
  expect(await kinds(id, `order_id=${canceled}`)).toBe('released reserved');
  expect(await kinds(id, `order_id=${shipped}&sort=id`)).toBe('reserved shipped');
  expect(await kinds(id, `order_id=${shipped}&kind=shipped`)).toBe('shipped');
  expect(await kinds(id, 'order_id=999999')).toBe('');
});

test('by time: created_from is inclusive, created_to exclusive, and every split of the life is the whole', async () => {
  const all = await ledger(id, 'sort=id');
  for (const time of times) {
    const before = await ledger(id, `sort=id&created_to=${time}`);
    const after = await ledger(id, `sort=id&created_from=${time}`);
    expect([...before, ...after]).toEqual(all);
    expect(before).toHaveLength(times.filter((other) => other < time).length);
  }
  expect(await ledger(id, 'created_from=2031-01-01T00:00:00Z')).toEqual([]);
  expect(await ledger(id, 'created_to=2020-01-01T00:00:00Z')).toEqual([]);
});

test('a deleted product keeps its ledger, filters and all; one that never had any stock has an empty one', async () => {
  const gone = await service.createProduct({ stock: 7 });
  await service.call('DELETE', `/products/${gone.id}`);
  expect(await kinds(gone.id)).toBe('adjusted received');
  expect(await kinds(gone.id, 'kind=received')).toBe('received');
  const { headers } = await service.call('GET', `/products/${gone.id}/stock-movements?limit=1`);
  expect(headers['link']).toContain(`/products/${gone.id}/stock-movements?`);
  const empty = await service.createProduct({ stock: 0 });
  await service.call('DELETE', `/products/${empty.id}`);
  expect(await ledger(empty.id)).toEqual([]);
});

describe('refusals', () => {
  test('a product that never was: 404', async () => {
    const expected = [404, 'product_not_found', 'Product not found'] as const;
    expect(await service.call('GET', '/products/999999/stock-movements')).toBeProblem(...expected);
  });

  test.each([
    ['kind=stolen', 'query/kind'],
    ['kind=', 'query/kind'],
    ['order_id=0', 'query/order_id'],
    ['order_id=x', 'query/order_id'],
    ['created_from=yesterday', 'query/created_from'],
    ['created_from=2026-01-01', 'query/created_from'],
    ['created_to=2026-01-01T00:00:00', 'query/created_to'],
    ['created_to=2026-12-31T23:59:60Z', 'query/created_to'],
    ['reason=lost', 'query/reason'],
  ])('%s: 422', async (query, fault) => {
    expect(await service.call('GET', `/products/${id}/stock-movements?${query}`)).toHaveFaults(fault);
  });

  test("the cursor of one product's ledger is none of another's: 422", async () => {
    const other = await service.createProduct();
    const { headers } = await service.call('GET', `/products/${id}/stock-movements?limit=2`);
    const cursor = /cursor=([\w-]+)/.exec(String(headers['link']))?.[1];
    expect((await service.call('GET', `/products/${id}/stock-movements?cursor=${cursor}`)).status).toBe(200);
    const answer = await service.call('GET', `/products/${other.id}/stock-movements?cursor=${cursor}`);
    expect(answer).toHaveFaults('query/cursor');
  });
});
