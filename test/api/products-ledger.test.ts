import { describe, expect, test } from 'vitest';

import { tamper } from '../support/audits.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

const REQUEST = { 'x-request-id': 'the-request' };

function movements(id: number) {
  return service.database.query(
    `select kind, delta::int, on_hand_after::int as on_hand, reserved_after::int as reserved,
            order_id::int, actor, request_id
       from stock_movements where product_id = $1 order by id`,
    [id],
  );
}

function events(id: number) {
  return service.database.query<{ type: string; version: number; payload: Record<string, unknown> }>(
    `select type, aggregate_version::int as version, payload, actor, request_id
       from events where aggregate_type = 'product' and aggregate_id = $1 order by id`,
    [id],
  );
}

async function read(id: number) {
  return (await service.call('GET', `/products/${id}`)).body;
}

describe('deleting', () => {
  test('a product that no order names: 204 without a body, then 404 for every call', async () => {
    const { id } = await service.createProduct();
    const { status, text } = await service.call('DELETE', `/products/${id}`);
    expect([status, text]).toEqual([204, '']);
    const expected = [404, 'product_not_found', 'Product not found'] as const;
    expect(await service.call('GET', `/products/${id}`)).toBeProblem(...expected);
    expect(await service.call('DELETE', `/products/${id}`)).toBeProblem(...expected);
    expect(await service.call('PATCH', `/products/${id}`, { name: 'x' })).toBeProblem(...expected);
    expect(await service.call('POST', '/orders', { product_id: id, quantity: 1 })).toBeProblem(...expected);
  });

  test.each(['PENDING', 'CANCELED', 'SHIPPED'])(
    'a product of a %s order: 400, and it stays',
    async (state) => {
      const { id } = await service.createProduct();
      const order = await service.placeOrder(id, 1);
      const steps = { PENDING: [], CANCELED: ['CANCELED'], SHIPPED: ['PAID', 'SHIPPED'] }[state] ?? [];
      for (const status of steps) await service.call('PUT', `/orders/${order.id}`, { status });
      const before = await read(id);
      const answer = await service.call('DELETE', `/products/${id}`);
      expect(answer).toBeProblem(400, 'product_has_orders');
      expect(answer.body.detail).toContain('deactivate');
      expect(await read(id)).toEqual(before);
    },
  );

  test('with a stale If-Match: 412, and it stays', async () => {
    const { id } = await service.createProduct();
    await service.call('PATCH', `/products/${id}`, { name: 'Two' });
    const stale = { 'if-match': '"1"' };
    const answer = await service.call('DELETE', `/products/${id}`, undefined, stale);
    expect(answer).toBeProblem(412, 'version_mismatch');
    expect(answer.body.current.version).toBe(2);
    expect((await service.call('DELETE', `/products/${id}`, undefined, { 'if-match': '"2"' })).status).toBe(
      204,
    );
  });

  test('frees the SKU', async () => {
    const { id, sku } = await service.createProduct();
    await service.call('DELETE', `/products/${id}`);
    expect((await service.createProduct({ sku })).id).not.toBe(id);
  });
});

test('the ledger of a life: received, adjusted, reserved, released, reserved, shipped, with running balances', async () => {
  const body = { sku: 'LEDGER', name: 'x', price: 1, stock: 100 };
  const { id } = (await service.call('POST', '/products', body, REQUEST)).body;
  await service.call('PATCH', `/products/${id}`, { stock: 40 }, REQUEST);
  const order = { product_id: id, quantity: 10 };
  const first = (await service.call('POST', '/orders', order, REQUEST)).body.id;
  await service.call('DELETE', `/orders/${first}`, undefined, REQUEST);
  const second = (await service.call('POST', '/orders', order, REQUEST)).body.id;
  await service.call('PUT', `/orders/${second}`, { status: 'PAID' }, REQUEST);
  await service.call('PUT', `/orders/${second}`, { status: 'SHIPPED' }, REQUEST);

  const by = { actor: 'anonymous', request_id: 'the-request' };
  expect(await movements(id)).toEqual([
    { kind: 'received', delta: 100, on_hand: 100, reserved: 0, order_id: null, ...by },
    { kind: 'adjusted', delta: -60, on_hand: 40, reserved: 0, order_id: null, ...by },
    { kind: 'reserved', delta: 10, on_hand: 40, reserved: 10, order_id: first, ...by },
    { kind: 'released', delta: -10, on_hand: 40, reserved: 0, order_id: first, ...by },
    { kind: 'reserved', delta: 10, on_hand: 40, reserved: 10, order_id: second, ...by },
    { kind: 'shipped', delta: -10, on_hand: 30, reserved: 0, order_id: second, ...by },
  ]);
  // Each of these changed the row once; being paid did not touch it.
  expect(await read(id)).toMatchObject({ version: 6, stock: 30, reserved: 0, on_hand: 30 });
  await expectStockAddsUp(service.database);
});

test('a product that starts with 0 has an empty ledger', async () => {
  const { id } = await service.createProduct({ stock: 0 });
  expect(await movements(id)).toEqual([]);
});

test('a deleted product leaves a ledger that ends at 0', async () => {
  const { id } = await service.createProduct({ stock: 7 });
  await service.call('DELETE', `/products/${id}`);
  expect((await movements(id)).at(-1)).toMatchObject({
    kind: 'adjusted',
    delta: -7,
    on_hand: 0,
    reserved: 0,
  });
});

test('an order that was canceled, and is PENDING again by a slip: the database refuses to give its stock back twice', async () => {
  const { id } = await service.createProduct({ stock: 10 });
  const order = await service.placeOrder(id, 4);
  // Without other orders, a second release would end below 0, which another constraint refuses.
  await service.placeOrder(id, 4);
  await service.call('DELETE', `/orders/${order.id}`);
  await tamper(service.database, `update orders set status = 'PENDING' where id = ${order.id}`);
  const before = [await read(id), await movements(id)];
  const answer = await service.call('DELETE', `/orders/${order.id}`);
  expect(answer).toBeProblem(500, 'internal_error');
  expect([await read(id), await movements(id)]).toEqual(before);
  await tamper(service.database, `update orders set status = 'CANCELED' where id = ${order.id}`);
});

test('no movement can be changed or deleted, not even by hand', async () => {
  await service.createProduct();
  await expect(service.database.query('update stock_movements set delta = 1')).rejects.toThrow(
    'never changed',
  );
  await expect(service.database.query('delete from stock_movements')).rejects.toThrow('never changed');
});

test('the events of a life: created, updated, deleted, one for each change, with snapshots before and after', async () => {
  const created = (
    await service.call('POST', '/products', { sku: 'EVENTS', name: 'x', price: 1, stock: 5 }, REQUEST)
  ).body;
  const url = `/products/${created.id}`;
  const updated = (await service.call('PATCH', url, { name: 'y', stock: 6 }, REQUEST)).body;
  await service.call('PATCH', url, { name: 'y' }, REQUEST);
  await service.call('DELETE', url, undefined, REQUEST);

  const by = { actor: 'anonymous', request_id: 'the-request' };
  expect(await events(created.id)).toEqual([
    { type: 'product.created', version: 1, payload: { product: created }, ...by },
    { type: 'product.updated', version: 2, payload: { product: updated, before: created }, ...by },
    { type: 'product.deleted', version: 3, payload: { product: { ...updated, version: 3 } }, ...by },
  ]);
});

test('a refused edit writes nothing at all', async () => {
  const { sku } = await service.createProduct();
  const { id } = await service.createProduct();
  const before = [await movements(id), await events(id)];
  await service.call('PATCH', `/products/${id}`, { sku, stock: 1 });
  await service.call('PATCH', `/products/${id}`, { stock: 1 }, { 'if-match': '"99"' });
  expect([await movements(id), await events(id)]).toEqual(before);
});
