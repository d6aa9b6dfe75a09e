import { beforeAll, describe, expect, test } from 'vitest';

import { useSharedDatabase } from '../support/database.ts';

const database = useSharedDatabase();

beforeAll(async () => {
  await database.query("insert into products (id, sku, name, price, on_hand) values (1, 'P', 'P', 1, 10)");
  await database.query('insert into orders (id, total) values (1, 1), (2, 1)');
});

/** The name of the constraint that refuses a statement, or its SQLSTATE when none does. */
async function refusedBy(text: string): Promise<string> {
  const refusal: unknown = await database.query(text).then(
    () => 'nothing',
    (error: unknown) => error,
  );
  if (refusal === 'nothing') throw new Error(`nothing refused: ${text}`);
  const { constraint, code } = refusal as { constraint?: string; code?: string };
  return constraint ?? code ?? '';
}

const product = (fields: string) => `update products set ${fields} where id = 1`;
const movement = (kind: string, delta: number, order: number | null, onHand = 10, reserved = 1) =>
  'insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor) ' +
  `values (1, '${kind}', ${delta}, ${onHand}, ${reserved}, ${order}, 'test')`;
const paymentEvent = (scheme: string, outcome: string) =>
  'insert into inbound_deliveries (identity, event_type, order_id, scheme, outcome, raw_body, actor) ' +
  `values ('x', 'payment.succeeded', 1, '${scheme}', '${outcome}', '', 'test')`;

const refusal = (verdict: string, scheme: string) =>
  `insert into inbound_deliveries (verdict, outcome, identity, scheme, reason, raw_body)
   values ('${verdict}', case '${verdict}' when 'valid' then 'failed' else 'refused' end, 'r', ${scheme}, '', '')`;

describe('what the database refuses by itself, with the name of the constraint', () => {
  test.each([
    ['products_reserved_not_negative', product('reserved = -1')],
    ['products_reserved_within_on_hand', product('reserved = 11')],
    ['products_reserved_within_on_hand', product('on_hand = -1')],
    ['products_on_hand_range', product('on_hand = 1000000001')],
    ['products_on_hand_range', product('on_hand = 1000000001, reserved = 1000000001')],
    ['products_price_range', product("price = 'NaN'")],
    ['products_price_range', product('price = 0')],
    ['products_price_range', product('price = -1')],
    ['products_name_length', product("name = ''")],
    ['products_name_length', product("name = repeat('n', 201)")],
    ['products_description_length', product("description = repeat('d', 2001)")],
    ['products_sku_format', product("sku = ' P'")],
    ['products_sku_format', product("sku = E'P\\n'")],
    ['products_sku_format', product("sku = ''")],
    ['products_sku_key', "insert into products (id, sku, name, price) values (2, 'P', 'Q', 1)"],
    ['products_sku_key', "insert into products (id, sku, name, price) values (2, 'p', 'Q', 1)"],
    ['orders_status_known', "update orders set status = 'LOST' where id = 1"],
    ['orders_status_known', "update orders set status = 'paid' where id = 1"],
    ['orders_total_range', 'insert into orders (total) values (0)'],
    ['orders_total_range', "insert into orders (total) values ('NaN')"],
    [
      'order_items_quantity_positive',
      "insert into order_items (order_id, position, product_id, sku, quantity, unit_price) values (1, 0, 1, 'P', 0, 1)",
    ],
    ['stock_movements_kind_known', movement('stolen', -1, null)],
    ['stock_movements_delta_sign', movement('received', 0, null)],
    ['stock_movements_delta_sign', movement('received', -1, null)],
    ['stock_movements_delta_sign', movement('adjusted', 0, null)],
    ['stock_movements_delta_sign', movement('reserved', -1, 1)],
    ['stock_movements_delta_sign', movement('released', 1, 1)],
    ['stock_movements_delta_sign', movement('shipped', 1, 1)],
    ['stock_movements_order_named', movement('reserved', 1, null)],
    ['stock_movements_order_named', movement('adjusted', 1, 1)],
    ['stock_movements_after_range', movement('reserved', 1, 1, 10, 11)],
    ['stock_movements_after_range', movement('released', -1, 1, 10, -1)],
    ['stock_movements_on_hand_range', movement('adjusted', 1, null, 1_000_000_001)],
    ['inbound_deliveries_scheme_known', paymentEvent('unsigned', 'processed')],
    ['inbound_deliveries_outcome_known', paymentEvent('standard-webhooks', 'lost')],
    ['inbound_deliveries_verdict_known', refusal('lost', 'null')],
    ['inbound_deliveries_scheme_given', refusal('valid', 'null')],
    ['inbound_deliveries_scheme_given', refusal('forged', "'standard-webhooks'")],
    ['inbound_deliveries_scheme_known', refusal('valid', "'none'")],
    [
      'events_aggregate_type_known',
      "insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload) values ('t', 'basket', 1, 1, 'test', '{}')",
    ],
  ])('%s refuses %s', async (constraint, statement) => {
    expect(await refusedBy(statement)).toBe(constraint);
  });

  test('numbers that no column holds are refused, not rounded to what fits', async () => {
    expect(await refusedBy(product('price = 10000000000'))).toBe('22003');
    expect(await refusedBy(product("price = 'Infinity'"))).toBe('22003');
  });
});

test.each([
  ['reserved', 1],
  ['released', -1],
  ['shipped', -1],
])('an order has one effect %s on a product, and another order has its own', async (kind, delta) => {
  await database.query(movement(kind, delta, 1));
  expect(await refusedBy(movement(kind, delta, 1))).toBe('stock_movements_effect_key');
  await database.query(movement(kind, delta, 2));
});

test('movements without an order are as many as they like, each change of stock is one', async () => {
  await database.query(movement('adjusted', 1, null));
  await database.query(movement('adjusted', 1, null));
  const rows = await database.query("select from stock_movements where kind = 'adjusted'");
  expect(rows).toHaveLength(2);
});

test('movements are never updated or deleted, not even none of them', async () => {
  const restrictViolation = '23001';
  expect(await refusedBy('update stock_movements set delta = 1')).toBe(restrictViolation);
  expect(await refusedBy('update stock_movements set delta = 1 where false')).toBe(restrictViolation);
  expect(await refusedBy('delete from stock_movements')).toBe(restrictViolation);
});

test('one identity of a payment event, one key of a caller and one event of a version are stored once', async () => {
  const event = paymentEvent('standard-webhooks', 'processed');
  const key = "insert into idempotency_keys (scope, key, fingerprint) values ('', 'k', '')";
  const change =
    "insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload) values ('order.paid', 'order', 1, 2, 'test', '{}')";
  for (const [statement, constraint] of [
    [event, 'inbound_deliveries_identity_key'],
    [key, 'idempotency_keys_pkey'],
    [change, 'events_change_key'],
    [refusal('valid', "'standard-webhooks'"), 'inbound_deliveries_identity_key'],
  ] as const) {
    await database.query(statement);
    expect(await refusedBy(statement)).toBe(constraint);
  }
});

test('a resolved exception has a resolution, and an open one has none', async () => {
  const [{ id } = { id: '0' }] = await database.query<{ id: string }>(
    paymentEvent('standard-webhooks', 'review').replace("'x'", "'y'") + ' returning id',
  );
  const exception = (status: string, resolution: string) =>
    `insert into payment_exceptions (payment_event_id, order_id, reason, detail, status, resolution)
     values (${id}, 1, 'already_paid', '', '${status}', ${resolution})`;
  expect(await refusedBy(exception('RESOLVED', 'null'))).toBe('payment_exceptions_resolution_given');
  expect(await refusedBy(exception('OPEN', "'refunded'"))).toBe('payment_exceptions_resolution_given');
  expect(await refusedBy(exception('LOST', 'null'))).toBe('payment_exceptions_status_known');
  expect(await refusedBy(exception('RESOLVED', "'forgotten'"))).toBe('payment_exceptions_resolution_known');
});

test('orders and products of orders cannot be erased', async () => {
  await database.query(movement('reserved', 1, 3));
  expect(await refusedBy('delete from orders where id = 1')).toBe('23001');
  expect(await refusedBy('delete from products where id = 1')).toBe('products_not_in_orders');
});
