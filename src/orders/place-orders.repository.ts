import { type CompiledQuery, type RawBuilder, sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Db, Tx } from '../db/types.ts';
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

interface LockRow extends Omit<LockedProduct, 'sku'> {
  /** Null in the rows that carry an order's id. */
  sku: string | null;
  now: string;
}

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
  const { rows } = await sql<LockRow>`
    with locked as (
      select id, sku, (price * 100)::bigint as "priceCents", on_hand as "onHand", reserved, active
        from products
       where id = any(${plainArray(productIds)}::bigint[])
       order by id
         for update ${skipLocked ? sql`skip locked` : sql``}
    )
    select *, null as now from locked
    union all
    select nextval('orders_id_seq'), null, null, null, null, null, now()::timestamptz(3)
      from generate_series(1, ${orderCount}::int)
  `.execute(tx);
  const products = new Map<number, LockedProduct>();
  const orderIds: number[] = [];
  for (const { now: _, sku, ...row } of rows) {
    if (sku === null) orderIds.push(row.id);
    else products.set(row.id, { sku, ...row });
  }
  return { products, orderIds, now: rows.at(-1)?.now ?? '' };
}

export interface PlacedOrder {
  order: Order;
  caller: Caller;
  key: IdempotencyKey | undefined;
}

/**
 * Everything that a batch of placed orders writes, as one statement: orders, items, stock, ledger, events and
 * idempotency keys. The products are locked by this transaction, and the changes were computed on the locked rows.
 *
 * An event of the type order.created has no payload: the order's rows say what it was.
 * The insert of a key is what makes it count once; when another transaction has just stored the same key, this one
 * fails as a whole and is tried again.
 */
export function writePlacedOrders(
  db: Db,
  placed: readonly PlacedOrder[],
  changes: readonly StockChange[],
): CompiledQuery {
  const orders = placed.map(({ order }) => order);
  const items = orders.flatMap(({ id, items: lines }) =>
    lines.map((line, position) => ({ ...line, orderId: id, position })),
  );
  const counters = [...new Map(changes.map((change) => [change.productId, change])).values()];
  return sql`
    with placed as materialized (
      select * from unnest(
        ${plainArray(orders.map((o) => o.id))}::bigint[],
        ${plainArray(orders.map((o) => decimal(o.total)))}::numeric[],
        ${textArray(orders.map((o) => o.customer_email))}::text[],
        ${textArray(orders.map((o) => o.expires_at))}::timestamptz[],
        ${textArray(placed.map((p) => p.caller.actor))}::text[],
        ${textArray(placed.map((p) => p.caller.requestId))}::text[]
      ) with ordinality as o (id, total, customer_email, expires_at, actor, request_id, ordinal)
    ), new_orders as (
      insert into orders (id, total, customer_email, expires_at)
      select id, total, customer_email, expires_at from placed order by ordinal
    ), new_items as (
      insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
      select * from unnest(
        ${plainArray(items.map((i) => i.orderId))}::bigint[],
        ${plainArray(items.map((i) => i.position))}::smallint[],
        ${plainArray(items.map((i) => i.product_id))}::bigint[],
        ${textArray(items.map((i) => i.sku))}::text[],
        ${plainArray(items.map((i) => i.quantity))}::bigint[],
        ${plainArray(items.map((i) => decimal(i.unit_price)))}::numeric[]
      )
    ), counters as (
      update products p
         set reserved = c.reserved, version = p.version + 1, updated_at = now()
        from unnest(
          ${plainArray(counters.map((c) => c.productId))}::bigint[],
          ${plainArray(counters.map((c) => c.reservedAfter))}::bigint[]
        ) as c (id, reserved)
       where p.id = c.id
    ), movements as (
      insert into stock_movements
        (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id)
      select m.product_id, 'reserved', m.delta, m.on_hand_after, m.reserved_after, m.order_id, m.actor, m.request_id
        from unnest(
          ${plainArray(changes.map((c) => c.productId))}::bigint[],
          ${plainArray(changes.map((c) => c.delta))}::bigint[],
          ${plainArray(changes.map((c) => c.onHandAfter))}::bigint[],
          ${plainArray(changes.map((c) => c.reservedAfter))}::bigint[],
          ${plainArray(changes.map((c) => c.orderId ?? 'NULL'))}::bigint[],
          ${textArray(changes.map((c) => c.caller.actor))}::text[],
          ${textArray(changes.map((c) => c.caller.requestId))}::text[]
        ) with ordinality
          as m (product_id, delta, on_hand_after, reserved_after, order_id, actor, request_id, ordinal)
       order by m.ordinal
    ), keys as (
      ${keyInsert(placed)}
    )
    insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, request_id)
    select 'order.created', 'order', id, 1, actor, request_id from placed order by ordinal
  `.compile(db);
}

/** In the order of the keys, so that two transactions cannot wait for each other's. */
function keyInsert(placed: readonly PlacedOrder[]): RawBuilder<unknown> {
  const keyed = placed.filter((entry) => entry.key !== undefined);
  return sql`
    insert into idempotency_keys (scope, key, fingerprint, status, response)
    select k.scope, k.key, decode(k.fingerprint, 'hex'), 201, k.response::json
      from unnest(
        ${textArray(keyed.map((p) => p.key?.scope ?? ''))}::text[],
        ${textArray(keyed.map((p) => p.key?.key ?? ''))}::text[],
        ${textArray(keyed.map((p) => p.key?.fingerprint.toString('hex') ?? ''))}::text[],
        ${textArray(keyed.map((p) => JSON.stringify(p.order)))}::text[]
      ) as k (scope, key, fingerprint, response)
     order by k.scope, k.key
  `;
}

function decimal(amount: number): string {
  return centsToDecimal(Math.round(amount * 100));
}
