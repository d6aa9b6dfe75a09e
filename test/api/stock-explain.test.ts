import { beforeEach, describe, expect, test } from 'vitest';

import { tamper } from '../support/audits.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

let id: number;
beforeEach(async () => {
  ({ id } = await service.createProduct({ stock: 10 }));
});

function explain(asOf?: string) {
  const query = asOf === undefined ? '' : `?as_of=${encodeURIComponent(asOf)}`;
  return service.call('GET', `/products/${id}/stock/explain${query}`);
}

async function explained(asOf?: string) {
  const { status, body, text } = await explain(asOf);
  if (status !== 200) throw new Error(text);
  return body;
}

test('10 received, 4 set off, 5 more received, 2 shipped, 3 held by 2 orders: all of it, and it is what is stored', async () => {
  await service.call('PATCH', `/products/${id}`, { stock: 6 });
  const delivery = { delta: 5, kind: 'received', reason: 'delivery' };
  await service.call('POST', `/products/${id}/stock-adjustments`, delivery);
  const orders: number[] = [];
  for (const quantity of [2, 1, 2, 1]) orders.push((await service.placeOrder(id, quantity)).id);
  const [sent, first, second, given] = orders;
  for (const status of ['PAID', 'SHIPPED']) await service.call('PUT', `/orders/${sent}`, { status });
  await service.call('PUT', `/orders/${first}`, { status: 'PAID' });
  await service.call('DELETE', `/orders/${given}`);
  const { sku } = (await service.call('GET', `/products/${id}`)).body;
  const { as_of, ...explanation } = await explained();
  expect(explanation).toEqual({
    product_id: id,
    sku,
    on_hand: { total: 9, received: 15, adjusted: -4, shipped: 2 },
    reserved: {
      total: 3,
      orders: [
        { order_id: second, quantity: 2 },
        { order_id: first, quantity: 1 },
      ],
      other_orders: { count: 0, quantity: 0 },
    },
    stock: 6,
    stored: { on_hand: 9, reserved: 3 },
    matches: true,
  });
  const [now] = await service.database.query<{ age: number }>(
    'select extract(epoch from clock_timestamp() - $1::timestamptz)::float as age',
    [as_of],
  );
  expect(Math.abs(now?.age ?? 99)).toBeLessThan(60);
});

test('a product without a movement: 0 of everything, and it matches', async () => {
  ({ id } = await service.createProduct({ stock: 0 }));
  expect(await explained()).toMatchObject({
    on_hand: { total: 0, received: 0, adjusted: 0, shipped: 0 },
    reserved: { total: 0, orders: [], other_orders: { count: 0, quantity: 0 } },
    stock: 0,
    matches: true,
  });
});

test('of 103 orders that hold 2 each, the 100 newest are listed and 3 are counted', async () => {
  ({ id } = await service.createProduct({ stock: 1000 }));
  const orders: number[] = [];
  for (let n = 0; n < 103; n++) orders.push((await service.placeOrder(id, 2)).id);
  const { reserved } = await explained();
  expect(reserved.total).toBe(206);
  const newest = orders.slice(3).toReversed();
  expect(reserved.orders).toEqual(newest.map((order_id) => ({ order_id, quantity: 2 })));
  expect(reserved.other_orders).toEqual({ count: 3, quantity: 6 });
});

test.each([
  ['a counter was changed', 'update products set on_hand = on_hand + 1', { stored: { on_hand: 11 } }],
  ['a movement is gone', "delete from stock_movements where kind = 'received'", { on_hand: { total: 0 } }],
])('%s: it does not match', async (_fault, statement, seen) => {
  await tamper(
    service.database,
    `${statement}${statement.includes('where') ? ' and product_id' : ' where id'} = ${id}`,
  );
  expect(await explained()).toMatchObject({ ...seen, matches: false });
});

/** Movements with times of their own, as if they had been written then. */
async function writeLedger(
  movements: [kind: string, delta: number, onHand: number, reserved: number, at: string][],
) {
  await tamper(service.database, `delete from stock_movements where product_id = ${id}`);
  for (const [index, [kind, delta, onHand, reserved, at]] of movements.entries()) {
    const order = ['received', 'adjusted'].includes(kind) ? null : 1_000_000 + id * 10 + index;
    await service.database.query(
      `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, created_at)
       values ($1, $2, $3, $4, $5, $6, 'test', $7)`,
      [id, kind, delta, onHand, reserved, order, at],
    );
  }
}

const T = (seconds: string) => `2026-03-01T12:00:${seconds}Z`;

describe('as of a time', () => {
  test('a movement counts from its own millisecond on, also under another zone', async () => {
    await writeLedger([
      ['received', 10, 10, 0, T('01.000')],
      ['adjusted', -3, 7, 0, T('02.000')],
      ['reserved', 2, 7, 2, T('03.000')],
    ]);
    const total = async (at: string) => (await explained(at)).on_hand.total;
    expect(await total(T('00.999'))).toBe(0);
    expect(await total(T('01.000'))).toBe(10);
    expect(await total(T('01.999'))).toBe(10);
    expect(await total(T('01.999999'))).toBe(10);
    expect(await total(T('02.000'))).toBe(7);
    expect(await total('2026-03-01T14:00:01.500+02:00')).toBe(10);
    expect(await explained(T('02.500'))).toMatchObject({
      as_of: T('02.500'),
      on_hand: { total: 7, received: 10, adjusted: -3, shipped: 0 },
      reserved: { total: 0, orders: [] },
      stored: { on_hand: 7, reserved: 0 },
      matches: true,
    });
    expect(await explained(T('03.000'))).toMatchObject({ stock: 5, stored: { on_hand: 7, reserved: 2 } });
  });

  test('before its first movement, and before it was created, a product has 0 of everything', async () => {
    await service.placeOrder(id, 1);
    expect(await explained('2001-01-01T00:00:00Z')).toMatchObject({
      as_of: '2001-01-01T00:00:00.000Z',
      on_hand: { total: 0, received: 0, adjusted: 0, shipped: 0 },
      reserved: { total: 0, orders: [], other_orders: { count: 0, quantity: 0 } },
      stock: 0,
      stored: { on_hand: 0, reserved: 0 },
      matches: true,
    });
  });

  test('an order whose transaction began before a delivery, but had to wait for it: never reserved of nothing', async () => {
    await writeLedger([
      ['received', 10, 10, 0, T('02.000')],
      ['reserved', 4, 10, 4, T('01.000')],
    ]);
    expect(await explained(T('01.500'))).toMatchObject({ stock: 0, reserved: { total: 0 }, matches: true });
    expect(await explained(T('02.000'))).toMatchObject({ stock: 6, reserved: { total: 4 }, matches: true });
  });

  test('a past that was tampered with does not match what its last movement recorded', async () => {
    await writeLedger([
      ['received', 10, 10, 0, T('01.000')],
      ['adjusted', -3, 7, 0, T('02.000')],
    ]);
    await tamper(
      service.database,
      `update stock_movements set delta = 9 where product_id = ${id} and delta = 10`,
    );
    expect(await explained(T('01.000'))).toMatchObject({
      on_hand: { total: 9 },
      stored: { on_hand: 10 },
      matches: false,
    });
  });

  test('the moment of the last movement is past, an hour from now is not: 422', async () => {
    const { body } = await service.call('GET', `/products/${id}/stock-movements`);
    expect(await explained(body[0].created_at)).toMatchObject({ stock: 10, matches: true });
    const later = new Date(Date.now() + 3_600_000).toISOString();
    expect(await explain(later)).toHaveFaults('query/as_of');
    expect((await explain(later)).body.detail).toBe('query/as_of is still to come');
  });

  test.each([
    'yesterday',
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-13-01T00:00:00Z',
    '',
    '2026-12-31T23:59:60Z',
  ])('%s: 422', async (asOf) => {
    expect(await explain(asOf)).toHaveFaults('query/as_of');
  });
});

test('a deleted product is explained, now and at any time before; under its last SKU', async () => {
  const { body } = await service.call('GET', `/products/${id}/stock-movements`);
  await service.call('PATCH', `/products/${id}`, { sku: `GONE-${id}` });
  await service.call('DELETE', `/products/${id}`);
  expect(await explained()).toMatchObject({
    sku: `GONE-${id}`,
    on_hand: { total: 0, received: 10, adjusted: -10 },
    stored: { on_hand: 0, reserved: 0 },
    matches: true,
  });
  const before = await explained(body[0].created_at);
  expect(before).toMatchObject({ sku: `GONE-${id}`, stock: 10, stored: { on_hand: 10 }, matches: true });
});

test('a deleted product that never had any stock is explained, too', async () => {
  const empty = await service.createProduct({ stock: 0 });
  await service.call('DELETE', `/products/${empty.id}`);
  const { status, body } = await service.call('GET', `/products/${empty.id}/stock/explain`);
  expect([status, body.sku, body.stock, body.matches]).toEqual([200, empty.sku, 0, true]);
});

test('a product that never was: 404', async () => {
  const expected = [404, 'product_not_found', 'Product not found'] as const;
  expect(await service.call('GET', '/products/999999/stock/explain')).toBeProblem(...expected);
});
