import { describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

function patch(id: number, body: unknown, headers: Record<string, string> = {}) {
  return service.call('PATCH', `/products/${id}`, body, headers);
}

async function read(id: number) {
  return (await service.call('GET', `/products/${id}`)).body;
}

describe.each(['PUT', 'PATCH'] as const)('%s changes any subset of the fields', (method) => {
  test.each([
    ['sku', { sku: `${method}.renamed` }],
    ['name', { name: 'Renamed' }],
    ['price', { price: 12.34 }],
    ['price as a text', { price: '12.34' }],
    ['description', { description: 'Described' }],
    ['active', { active: false }],
    ['four of them', { sku: `${method}.four`, name: 'Four', price: '0.99', active: false }],
  ])('%s alone; the others stay', async (_what, fields) => {
    const { id } = await service.createProduct({ description: 'As it was' });
    const before = await read(id);
    const { status, headers, body } = await service.call(method, `/products/${id}`, fields);
    expect(status).toBe(200);
    const numbers = 'price' in fields ? { price: Number(fields.price) } : {};
    expect(body).toEqual({ ...before, ...fields, ...numbers, version: 2, updated_at: body.updated_at });
    expect(headers.etag).toBe('"2"');
    expect(await read(id)).toEqual(body);
  });
});

test('description: null clears it', async () => {
  const { id } = await service.createProduct({ description: 'Something' });
  expect((await patch(id, { description: null })).body.description).toBeNull();
});

test.each(['sku', 'name', 'price', 'stock', 'active'])('%s cannot be null', async (field) => {
  const { id } = await service.createProduct();
  expect(await patch(id, { [field]: null })).toHaveFaults(`body/${field}`);
});

test('an empty body is 422 and changes nothing', async () => {
  const { id } = await service.createProduct();
  expect(await patch(id, {})).toHaveFaults('body');
  expect((await read(id)).version).toBe(1);
});

test('an unknown product is 404, with any If-Match', async () => {
  const expected = [404, 'product_not_found', 'Product not found'] as const;
  expect(await patch(999_999, { name: 'x' })).toBeProblem(...expected);
  expect(await patch(999_999, { name: 'x' }, { 'if-match': '*' })).toBeProblem(...expected);
});

test('the SKU of another product is 409, one of its own is none', async () => {
  const { sku } = await service.createProduct();
  const { id, sku: own } = await service.createProduct();
  const answer = await patch(id, { sku, name: 'Not stored' });
  expect(answer).toBeProblem(409, 'duplicate_sku', 'Product with this SKU already exists');
  expect(await read(id)).toMatchObject({ sku: own, name: 'A thing', version: 1 });
  expect(await patch(id, { sku: sku.toLowerCase() })).toBeProblem(409, 'duplicate_sku');
  expect((await patch(id, { sku: own })).status).toBe(200);
  expect((await patch(id, { sku: own.toLowerCase() })).body.sku).toBe(own.toLowerCase());
});

describe('setting stock sets what can be sold now', () => {
  test('30 of 100 are reserved; stock 50 leaves 80 in the house', async () => {
    const { id } = await service.createProduct({ stock: 100 });
    await service.placeOrder(id, 30);
    expect(await read(id)).toMatchObject({ stock: 70, reserved: 30, on_hand: 100 });
    const { body } = await patch(id, { stock: 50 });
    expect(body).toMatchObject({ stock: 50, reserved: 30, on_hand: 80 });
    await expectStockAddsUp(service.database);
  });

  test('stock 0 under 30 reservations: nothing more is sold, and the 30 still ship', async () => {
    const { id } = await service.createProduct({ stock: 100 });
    const order = await service.placeOrder(id, 30);
    await patch(id, { stock: 0 });
    const refused = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
    expect(refused).toBeProblem(409, 'insufficient_stock', 'Insufficient stock. Available: 0, Requested: 1');
    await service.call('PUT', `/orders/${order.id}`, { status: 'PAID' });
    expect((await service.call('PUT', `/orders/${order.id}`, { status: 'SHIPPED' })).status).toBe(200);
    expect(await read(id)).toMatchObject({ stock: 0, reserved: 0, on_hand: 0 });
    await expectStockAddsUp(service.database);
  });

  test('stock and other fields in one edit raise the version once', async () => {
    const { id } = await service.createProduct({ stock: 1 });
    const { body } = await patch(id, { stock: 9, name: 'Both', price: 3 });
    expect(body).toMatchObject({ stock: 9, name: 'Both', price: 3, version: 2 });
  });
});

describe('an edit that changes nothing', () => {
  test.each([
    ['the same name', { name: 'A thing' }],
    ['the same price as a text', { price: '10.00' }],
    ['the same stock', { stock: 100 }],
    ['everything as it is', { name: 'A thing', price: 10, stock: 100, active: true, description: null }],
  ])('%s: 200, the version and the time stay, no event and no movement', async (_what, fields) => {
    const { id } = await service.createProduct();
    const before = await read(id);
    const { status, body } = await patch(id, fields);
    expect([status, body]).toEqual([200, before]);
    const [written] = await service.database.query(
      `select (select count(*)::int from events where aggregate_type = 'product' and aggregate_id = $1) as events,
              (select count(*)::int from stock_movements where product_id = $1) as movements`,
      [id],
    );
    expect(written).toEqual({ events: 1, movements: 1 });
  });
});

describe('If-Match', () => {
  test('with the current version, or *, the edit goes through', async () => {
    const { id } = await service.createProduct();
    expect((await patch(id, { name: 'Two' }, { 'if-match': '"1"' })).body.version).toBe(2);
    expect((await patch(id, { name: 'Three' }, { 'if-match': '"1", "2"' })).body.version).toBe(3);
    expect((await patch(id, { name: 'Four' }, { 'if-match': '*' })).body.version).toBe(4);
  });

  test('with a stale version: 412 with the current state and its ETag, and nothing changes', async () => {
    const { id } = await service.createProduct();
    await patch(id, { name: 'Two' });
    const current = await read(id);
    const answer = await patch(id, { name: 'Late' }, { 'if-match': '"1"' });
    expect(answer).toBeProblem(412, 'version_mismatch');
    expect(answer.body.current).toEqual(current);
    expect(answer.headers.etag).toBe('"2"');
    expect(await read(id)).toEqual(current);
  });

  test('an order makes a version stale, because it changes the stock', async () => {
    const { id } = await service.createProduct();
    await service.placeOrder(id, 1);
    expect(await patch(id, { stock: 5 }, { 'if-match': '"1"' })).toBeProblem(412, 'version_mismatch');
  });

  test('a weak tag never matches', async () => {
    const { id } = await service.createProduct();
    expect(await patch(id, { name: 'x' }, { 'if-match': 'W/"1"' })).toBeProblem(412, 'version_mismatch');
  });

  test('a malformed one is 422', async () => {
    const { id } = await service.createProduct();
    expect(await patch(id, { name: 'x' }, { 'if-match': '1' })).toHaveFaults('header/if-match');
    expect(await patch(id, { name: 'x' }, { 'if-match': '' })).toHaveFaults('header/if-match');
  });
});

describe('an inactive product', () => {
  test('can be read, listed and edited, but not ordered: 409; active again, it can', async () => {
    const { id } = await service.createProduct();
    await patch(id, { active: false });
    expect((await read(id)).active).toBe(false);
    const refused = await service.call('POST', '/orders', { product_id: id, quantity: 1 });
    expect(refused).toBeProblem(409, 'product_inactive');
    await patch(id, { active: true });
    expect((await service.call('POST', '/orders', { product_id: id, quantity: 1 })).status).toBe(201);
  });

  test('keeps its orders: what was ordered before is still paid and shipped', async () => {
    const { id } = await service.createProduct();
    const order = await service.placeOrder(id, 1);
    await patch(id, { active: false });
    for (const status of ['PAID', 'SHIPPED']) {
      expect((await service.call('PUT', `/orders/${order.id}`, { status })).status).toBe(200);
    }
  });
});
