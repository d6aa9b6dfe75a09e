import { CompiledQuery } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Tx } from '../db/types.ts';
import type { IdempotencyKey } from '../idempotency/key.ts';
import type { StockChange } from '../inventory/stock-change.ts';
import type { LockedProduct } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { Order } from './order.ts';

export interface LockedForOrders {
  products: Map<number, LockedProduct>;
  /** As many as were asked for. Those of refused orders stay unused: a gap costs nothing, another trip would. */
  orderIds: number[];
  /** The time of this transaction, and so the creation of its orders. */
  now: string;
}

/** Products come first, then the ids of orders, in rows that are otherwise empty. */
type LockRow = (LockedProduct | { id: number; sku: null }) & { now: string | null };

/**
 * Locks products in one statement, in the order of their ids, so that batches with common products wait for each other
 * and never in a circle; draws ids for the orders on the same trip.
 * @param skipLocked leaves out what others hold at this moment, instead of waiting for it
 */
export async function lockForOrders(
  tx: Tx,
  productIds: readonly number[],
  orderCount: number,
  skipLocked: boolean,
): Promise<LockedForOrders> {
  const { rows } = await tx.executeQuery<LockRow>(
    CompiledQuery.raw(skipLocked ? LOCK_FREE : LOCK, [plainArray(productIds), orderCount]),
  );
  const products = new Map<number, LockedProduct>();
  const orderIds: number[] = [];
  for (const row of rows) {
    if (row.sku === null) orderIds.push(row.id);
    else products.set(row.id, row);
  }
  return { products, orderIds, now: rows.at(-1)?.now ?? '' };
}

/** The texts of this file stand ready: to have Kysely build them anew took two microseconds an order. */
const lockText = (wait: 'skip locked' | '') => `
  with locked as (
    select id, sku, (price * 100)::bigint as "priceCents", on_hand as "onHand", reserved, active
      from products
     where id = any($1::bigint[])
     order by id
       for update ${wait}
  )
  select *, null as now from locked
  union all
  select nextval('orders_id_seq'), null, null, null, null, null, case n when $2 then now()::timestamptz(3) end
    from generate_series(1, $2::int) as n`;
const LOCK = lockText('');
const LOCK_FREE = lockText('skip locked');

export interface PlacedOrder {
  order: Order;
  caller: Caller;
  key: IdempotencyKey | undefined;
}

/**
 * Everything that a batch of placed orders writes, as one statement: orders, items, stock, ledger, events and
 * idempotency keys. The products are locked by this transaction, and the changes were computed on the locked rows.
 */
export function writePlacedOrders(
  placed: readonly PlacedOrder[],
  changes: readonly StockChange[],
): CompiledQuery {
  const orders = placed.map(({ order }) => order);
  const items = orders.flatMap((order) => order.items);
  const itemOrderIds: number[] = [];
  const itemPositions: number[] = [];
  for (const { id, items: lines } of orders) {
    for (let position = 0; position < lines.length; position += 1) {
      itemOrderIds.push(id);
      itemPositions.push(position);
    }
  }
  const counters = [...new Map(changes.map((change) => [change.productId, change])).values()];
  // In the order of $1 to $25 below.
  return CompiledQuery.raw(WRITE, [
    plainArray(orders.map((o) => o.id)),
    plainArray(orders.map((o) => decimal(o.total))),
    textArray(orders.map((o) => o.customer_email)),
    textArray(orders.map((o) => o.expires_at)),
    textArray(placed.map((p) => p.caller.actor)),
    textArray(placed.map((p) => p.caller.requestId)),
    plainArray(itemOrderIds),
    plainArray(itemPositions),
    plainArray(items.map((i) => i.product_id)),
    textArray(items.map((i) => i.sku)),
    plainArray(items.map((i) => i.quantity)),
    plainArray(items.map((i) => decimal(i.unit_price))),
    plainArray(counters.map((c) => c.productId)),
    plainArray(counters.map((c) => c.reservedAfter)),
    plainArray(changes.map((c) => c.productId)),
    plainArray(changes.map((c) => c.delta)),
    plainArray(changes.map((c) => c.onHandAfter)),
    plainArray(changes.map((c) => c.reservedAfter)),
    plainArray(changes.map((c) => c.orderId ?? 'NULL')),
    textArray(changes.map((c) => c.caller.actor)),
    textArray(changes.map((c) => c.caller.requestId)),
    ...keyColumns(placed),
  ]);
}

function keyColumns(placed: readonly PlacedOrder[]): string[] {
  const keyed = placed.filter((entry) => entry.key !== undefined);
  return [
    textArray(keyed.map((p) => p.key?.scope ?? '')),
    textArray(keyed.map((p) => p.key?.key ?? '')),
    textArray(keyed.map((p) => p.key?.fingerprint.toString('hex') ?? '')),
    textArray(keyed.map((p) => JSON.stringify(p.order))),
  ];
}

/**
 * An event of the type order.created has no payload: the order's rows say what it was.
 * The insert of a key is what makes it count once; when another transaction has just stored the same key, this one
 * fails as a whole and is tried again. Keys are inserted in their order, so that two transactions cannot wait for each
 * other's.
 */
const WRITE = `
  with placed as materialized (
    select *
      from unnest($1::bigint[], $2::numeric[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
        with ordinality as o (id, total, customer_email, expires_at, actor, request_id, ordinal)
  ), new_orders as (
    insert into orders (id, total, customer_email, expires_at)
    select id, total, customer_email, expires_at from placed order by ordinal
  ), new_items as (
    insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
    select * from unnest($7::bigint[], $8::smallint[], $9::bigint[], $10::text[], $11::bigint[], $12::numeric[])
  ), counters as (
    update products p
       set reserved = c.reserved, version = p.version + 1, updated_at = now()
      from unnest($13::bigint[], $14::bigint[]) as c (id, reserved)
     where p.id = c.id
  ), movements as (
    insert into stock_movements
      (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id)
    select m.product_id, 'reserved', m.delta, m.on_hand_after, m.reserved_after, m.order_id, m.actor, m.request_id
      from unnest($15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::text[])
        with ordinality
        as m (product_id, delta, on_hand_after, reserved_after, order_id, actor, request_id, ordinal)
     order by m.ordinal
  ), keys as (
    insert into idempotency_keys (scope, key, fingerprint, status, response)
    select k.scope, k.key, decode(k.fingerprint, 'hex'), 201, k.response::json
      from unnest($22::text[], $23::text[], $24::text[], $25::text[]) as k (scope, key, fingerprint, response)
     order by k.scope, k.key
  )
  insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, request_id)
  select 'order.created', 'order', id, 1, actor, request_id from placed order by ordinal`;

function decimal(amount: number): string {
  return centsToDecimal(Math.round(amount * 100));
}
