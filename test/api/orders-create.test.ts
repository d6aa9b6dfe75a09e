import { beforeAll, describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
const service = useSharedService();

function order(body: unknown, rest = '') {
  return service.call('POST', `/orders${rest}`, body);
}

async function stockOf(id: number) {
  const { stock, reserved, on_hand, version } = (await service.call('GET', `/products/${id}`)).body;
  return { stock, reserved, on_hand, version };
}

async function rowCounts() {
  const [counts] = await service.database.query(
    `select (select count(*) from orders) as orders, (select count(*) from order_items) as items,
            (select count(*) from events) as events, (select count(*) from stock_movements) as movements,
            (select count(*) from idempotency_keys) as keys`,
  );
  return counts;
}

test('an order of one item: 201, Location, ETag "1", every field, and product_id and quantity as asked', async () => {
  const { id: product_id, sku } = await service.createProduct({ price: 29.99, stock: 100 });
  const { status, headers, body } = await order({
    product_id,
    quantity: 3,
    customer_email: 'ada@example.com',
  });
  expect(status).toBe(201);
  expect(headers).toMatchObject({ location: `/orders/${body.id}`, etag: '"1"' });
  expect(body).toEqual({
    id: expect.any(Number),
    status: 'PENDING',
    items: [{ product_id, sku, quantity: 3, unit_price: 29.99 }],
    total: 89.97,
    currency: 'USD',
    amount_paid: 0,
    amount_refunded: 0,
    customer_email: 'ada@example.com',
    version: 1,
    expires_at: null,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    updated_at: body.created_at,
    product_id,
    quantity: 3,
  });
  expect((await service.call('GET', headers.location as string)).body).toEqual(body);
  expect(await stockOf(product_id)).toEqual({ stock: 97, reserved: 3, on_hand: 100, version: 2 });
});

test('an order of several items keeps their order and does not show product_id and quantity', async () => {
  const first = await service.createProduct({ price: 0.1 });
  const second = await service.createProduct({ price: 0.2 });
  const items = [
    { product_id: second.id, quantity: 1 },
    { product_id: first.id, quantity: 2 },
  ];
  const { status, body } = await order({ items });
  expect(status).toBe(201);
  expect(body.items.map((item: { product_id: number }) => item.product_id)).toEqual([second.id, first.id]);
  expect(body.total).toBe(0.4);
  expect(body).not.toHaveProperty('product_id');
  expect(body).not.toHaveProperty('quantity');
  const { body: read } = await service.call('GET', `/orders/${body.id}`);
  expect(read).toEqual(body);
});

test('a list of exactly one item shows product_id and quantity, too', async () => {
  const { id: product_id } = await service.createProduct();
  const { body } = await order({ items: [{ product_id, quantity: 4 }] });
  expect(body).toMatchObject({ product_id, quantity: 4, customer_email: null });
});

test('customer_email: null is none', async () => {
  const { id: product_id } = await service.createProduct();
  const { status, body } = await order({ product_id, quantity: 1, customer_email: null });
  expect([status, body.customer_email]).toEqual([201, null]);
});

describe('the two forms never go together, and each is whole', () => {
  const item = { product_id: 1, quantity: 1 };
  test.each<[string, Record<string, unknown>, string[]]>([
    ['both', { ...item, items: [item] }, ['body/product_id', 'body/quantity']],
    ['items and a quantity', { quantity: 1, items: [item] }, ['body/quantity']],
    ['items and a product_id', { product_id: 1, items: [item] }, ['body/product_id']],
    ['neither', {}, ['body/product_id', 'body/quantity']],
    ['no quantity', { product_id: 1 }, ['body/quantity']],
    ['no product_id', { quantity: 1 }, ['body/product_id']],
    ['an item without a quantity', { items: [{ product_id: 1 }] }, ['body/items/0/quantity']],
    ['an item with a price', { items: [{ ...item, unit_price: 1 }] }, ['body/items/0/unit_price']],
    ['a price', { ...item, total: 1 }, ['body/total']],
    ['a state', { ...item, status: 'PAID' }, ['body/status']],
  ])('%s: 422', async (_what, body, paths) => {
    expect(await order(body)).toHaveFaults(...paths);
  });
});

describe('an order has 1 to 100 items, each product once', () => {
  let products: number[];
  beforeAll(async () => {
    const rows = await service.database.query<{ id: number }>(
      `insert into products (sku, name, price, on_hand)
       select 'MANY-' || n, 'x', 1, 0 from generate_series(1, 101) n returning id::int`,
    );
    products = rows.map(({ id }) => id);
    for (const id of products) await service.call('PATCH', `/products/${id}`, { stock: 5 });
  });

  function items(count: number) {
    return products.slice(0, count).map((product_id) => ({ product_id, quantity: 1 }));
  }

  test('100 items are placed', async () => {
    const { status, body } = await order({ items: items(100) });
    expect([status, body.items.length, body.total]).toEqual([201, 100, 100]);
    await expectStockAddsUp(service.database);
  });

  test.each([0, 101])('%i items: 422', async (count) => {
    expect(await order({ items: items(count) })).toHaveFaults('body/items');
  });

  test('a product that is named twice is refused, never sold twice: 422 with the place of the second', async () => {
    const [one, two] = items(2);
    const before = await rowCounts();
    expect(await order({ items: [one, two, { ...one, quantity: 2 }] })).toHaveFaults(
      'body/items/2/product_id',
    );
    expect(await rowCounts()).toEqual(before);
  });
});

test('prices and SKUs are snapshots: what changes afterwards does not change the order', async () => {
  const { id: product_id, sku } = await service.createProduct({ price: 10 });
  const { body: placed } = await order({ product_id, quantity: 2 });
  await service.call('PATCH', `/products/${product_id}`, { price: 99, sku: `${sku}-NEW`, name: 'Other' });
  expect((await service.call('GET', `/orders/${placed.id}`)).body).toEqual(placed);
  expect((await order({ product_id, quantity: 1 })).body.total).toBe(99);
});

test('a SKU that is renamed in the middle of an order keeps the ledger right', async () => {
  const { id: product_id, sku } = await service.createProduct({ stock: 10 });
  const { body: placed } = await order({ product_id, quantity: 4 });
  await service.call('PATCH', `/products/${product_id}`, { sku: `${sku}-NEW` });
  await service.createProduct({ sku, stock: 10 });
  await service.call('DELETE', `/orders/${placed.id}`);
  expect(await stockOf(product_id)).toMatchObject({ stock: 10, reserved: 0, on_hand: 10 });
  await expectStockAddsUp(service.database);
});

describe.each(['/preview', '?dry_run=true'])('POST /orders%s', (way) => {
  test('answers 200 with the same order but no id, no Location and no ETag, and changes nothing', async () => {
    const { id: product_id } = await service.createProduct({ price: 5, stock: 10 });
    const body = { product_id, quantity: 4, customer_email: 'ada@example.com' };
    const before = [await rowCounts(), await stockOf(product_id)];
    const preview = await order(body, way);
    expect(preview.status).toBe(200);
    expect(preview.headers).not.toHaveProperty('location');
    expect(preview.headers).not.toHaveProperty('etag');
    expect([await rowCounts(), await stockOf(product_id)]).toEqual(before);

    const { id, ...placed } = (await order(body)).body;
    expect(id).toBeGreaterThan(0);
    const times = { created_at: expect.any(String), updated_at: expect.any(String) };
    expect(preview.body).toEqual({ ...placed, ...times });
  });

  test('ignores the key: the same key afterwards places an order, and 10 previews of it stay previews', async () => {
    const { id: product_id } = await service.createProduct();
    const body = { product_id, quantity: 1 };
    const key = { 'idempotency-key': `dry${way.length}` };
    const statuses = [];
    for (let i = 0; i < 10; i++) {
      statuses.push(
        (await service.call('POST', `/orders${way}`, { product_id, quantity: i + 1 }, key)).status,
      );
    }
    expect(statuses).toEqual(Array.from({ length: 10 }, () => 200));
    const placed = await service.call('POST', '/orders', body, key);
    expect([placed.status, placed.headers['idempotency-replayed']]).toEqual([201, undefined]);
    expect((await service.call('POST', `/orders${way}`, body, key)).status).toBe(200);
  });

  test('refuses what an order would refuse, in the same words', async () => {
    const { id: product_id } = await service.createProduct({ stock: 1 });
    const detail = 'Insufficient stock. Available: 1, Requested: 2';
    expect(await order({ product_id, quantity: 2 }, way)).toBeProblem(409, 'insufficient_stock', detail);
    const unknown = await order({ product_id: 999_999, quantity: 2 }, way);
    expect(unknown).toBeProblem(404, 'product_not_found', 'Product not found');
  });
});

describe('?dry_run', () => {
  test('dry_run=false places the order; another word is 422', async () => {
    const { id: product_id } = await service.createProduct();
    expect((await order({ product_id, quantity: 1 }, '?dry_run=false')).status).toBe(201);
    for (const word of ['1', 'yes', '', 'True']) {
      expect(await order({ product_id, quantity: 1 }, `?dry_run=${word}`)).toHaveFaults('query/dry_run');
    }
  });
});
