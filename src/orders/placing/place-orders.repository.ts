import { CompiledQuery } from 'kysely';

import { executeLast } from '../../db/driver/pipeline.ts';
import { plainArray, textArray } from '../../db/pg-array.ts';
import { explainViolations } from '../../db/pg-errors.ts';
import type { Tx } from '../../db/types.ts';
import { KEY_VIOLATIONS } from '../../idempotency/idempotency.repository.ts';
import type { IdempotencyKey } from '../../idempotency/key.ts';
import { StockBook, type StockChange, type StockCounters } from '../../inventory/stock-book.ts';
import type { LockedProduct } from '../../inventory/stock.repository.ts';
import { centsToDecimal } from '../../lib/money.ts';
import { orderCreated } from '../order.events.ts';
import type { Order, OrderItem } from '../order.ts';

export interface LockedForOrders {
  book: StockBook<LockedProduct>;
  /** As many as were asked for. Those of refused orders stay unused: a gap costs nothing, another trip would. */
  orderIds: number[];
  /** The time of this transaction, and so the creation of its orders. */
  now: string;
}

/** Products come first. The ids of all orders are one text in one more row: a row for each took a microsecond an order. */
type LockRow = (LockedProduct & { orderIds: null }) | { orderIds: string; now: string };

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
  let [orderIds, now]: [number[], string] = [[], ''];
  for (const row of rows) {
    if (row.orderIds === null) {
      products.set(row.id, row);
    } else {
      orderIds = row.orderIds.split(',').map(Number);
      now = row.now;
    }
  }
  return { book: new StockBook(products), orderIds, now };
}

/** The texts of this file stand ready: to have Kysely build them anew took two microseconds an order. */
const lockText = (wait: 'skip locked' | '') => `
  with locked as (
    select id, sku, (price * 100)::bigint as "priceCents", on_hand as "onHand", reserved, active,
           version, low_stock_threshold as "lowStockThreshold"
      from products
     where id = any($1::bigint[])
     order by id
       for update ${wait}
  )
  select *, null as "orderIds", null as now from locked
  union all
  select null, null, null, null, null, null, null, null, string_agg(nextval('orders_id_seq')::text, ','), now()::timestamptz(3)
    from generate_series(1, $2::int)`;
const LOCK = lockText('');
const LOCK_FREE = lockText('skip locked');

export interface PlacedOrder {
  order: Order;
  key: IdempotencyKey | undefined;
  /** What its items took, one for each, in their order. */
  changes: readonly StockChange[];
}

/**
 * Everything that a batch of placed orders writes, as one statement: orders, items, stock, ledger, events and
 * idempotency keys.
 * @param counters what the transaction's stock book has changed: by these orders, and by overdue ones that it released
 */
export async function writePlacedOrders(
  tx: Tx,
  placed: readonly PlacedOrder[],
  counters: readonly StockCounters[],
): Promise<void> {
  await explainViolations(KEY_VIOLATIONS, executeLast(tx, writing(placed, counters)));
}

function writing(placed: readonly PlacedOrder[], counters: readonly StockCounters[]): CompiledQuery {
  const orders = placed.map(({ order }) => order);
  const lines = placed.flatMap(({ order, changes }) =>
    changes.map((change, position) => {
      // One change for each item.
      const { sku, unit_price } = order.items[position] as OrderItem;
      return { orderId: order.id, change, position, sku, unit_price };
    }),
  );
  const keyed = placed.filter(({ key }) => key !== undefined);
  // In the order of $1 to $22 below.
  return CompiledQuery.raw(WRITE, [
    plainArray(orders.map((o) => o.id)),
    plainArray(orders.map((o) => decimal(o.total))),
    textArray(orders.map((o) => o.customer_email)),
    // One for all, which are of one transaction.
    orders[0]?.expires_at,
    plainArray(lines.map((l) => l.orderId)),
    plainArray(lines.map((l) => l.position)),
    plainArray(lines.map((l) => l.change.productId)),
    textArray(lines.map((l) => l.sku)),
    plainArray(lines.map((l) => l.change.delta)),
    plainArray(lines.map((l) => decimal(l.unit_price))),
    plainArray(lines.map((l) => l.change.onHandAfter)),
    plainArray(lines.map((l) => l.change.reservedAfter)),
    textArray(lines.map((l) => l.change.caller.actor)),
    textArray(lines.map((l) => l.change.caller.requestId)),
    plainArray(counters.map((c) => c.id)),
    plainArray(counters.map((c) => c.reserved)),
    textArray(keyed.map(({ key }) => key?.scope ?? '')),
    textArray(keyed.map(({ key }) => key?.key ?? '')),
    textArray(keyed.map(({ key }) => key?.fingerprint.toString('hex') ?? '')),
    textArray(keyed.map(({ order }) => JSON.stringify(order))),
    // What was answered is what is stored, in every row of it; also where now() is another at each statement.
    orders[0]?.created_at,
    orders[0]?.currency,
  ]);
}

/**
 * A line is an item, and the movement that it made. The first one of an order also is its event, which has no payload:
 * the order's rows say what it was.
 * The insert of a key is what makes it count once; when another transaction has just stored the same key, this one
 * fails as a whole and is tried again. Keys are inserted in their order, so that two transactions cannot wait for each
 * other's.
 */
const WRITE = `
  with new_orders as (
    insert into orders (id, total, currency, customer_email, expires_at, created_at, updated_at)
    select id, total, $22::text, customer_email, $4::timestamptz, $21::timestamptz, $21::timestamptz
      from unnest($1::bigint[], $2::numeric[], $3::text[]) with ordinality as o (id, total, customer_email, ordinal)
     order by ordinal
  ), lines as materialized (
    select *
      from unnest($5::bigint[], $6::smallint[], $7::bigint[], $8::text[], $9::bigint[], $10::numeric[], $11::bigint[],
                  $12::bigint[], $13::text[], $14::text[])
        with ordinality
        as l (order_id, position, product_id, sku, quantity, unit_price, on_hand, reserved, actor, request_id, ordinal)
  ), new_items as (
    insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
    select order_id, position, product_id, sku, quantity, unit_price from lines order by ordinal
  ), counters as (
    update products p
       set reserved = c.reserved, version = p.version + 1, updated_at = $21::timestamptz
      from unnest($15::bigint[], $16::bigint[]) as c (id, reserved)
     where p.id = c.id
  ), movements as (
    insert into stock_movements
      (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id, created_at)
    select product_id, 'reserved', quantity, on_hand, reserved, order_id, actor, request_id, $21::timestamptz
      from lines order by ordinal
  ), keys as (
    insert into idempotency_keys (scope, key, fingerprint, status, response)
    select k.scope, k.key, decode(k.fingerprint, 'hex'), 201, k.response::json
      from unnest($17::text[], $18::text[], $19::text[], $20::text[]) as k (scope, key, fingerprint, response)
     order by k.scope, k.key
  )
  insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, request_id, occurred_at)
  select '${orderCreated.type}', '${orderCreated.aggregate}', order_id, 1, actor, request_id, $21::timestamptz
    from lines where position = 0 order by ordinal`;

function decimal(amount: number): string {
  return centsToDecimal(Math.round(amount * 100));
}
