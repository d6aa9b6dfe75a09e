import { CompiledQuery, type SelectQueryBuilder, sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import { plainArray, textArray } from '../db/pg-array.ts';
import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal, toCents } from '../lib/money.ts';
import type { PageRequest } from '../lib/page.ts';
import { type ReadyRow, toReadyAnswer } from '../lib/ready-answer.ts';
import type { OrderMoney } from './order-money.ts';
import type { OrderStatus } from './order-state.ts';
import { type LockedOrder, type Order, type OrderFilter, type OrderItem, soleItem } from './order.ts';

/** The items as one JSON array, so that an order is one row: no second trip, no join to fold up again. */
const ITEMS = `(
  select json_agg(json_build_object(
           'product_id', i.product_id, 'sku', i.sku, 'quantity', i.quantity, 'unit_price', i.unit_price
         ) order by i.position)
    from order_items i
   where i.order_id = orders.id
)`;
export const orderItems = sql.raw<OrderItem[]>(ITEMS);

export const orderColumns = [
  'orders.id',
  'orders.status',
  'orders.total',
  'orders.currency',
  'orders.amount_paid',
  'orders.amount_refunded',
  'orders.customer_email',
  'orders.refund_due',
  'orders.version',
  'orders.expires_at',
  'orders.created_at',
  'orders.updated_at',
] as const;

/** What a transaction that has locked an order decides by, besides what callers see of it. */
export const lockedColumns = [...orderColumns, 'orders.paid_by_hand', 'orders.accepted_difference'] as const;

export interface OrderRow {
  id: number;
  status: string;
  total: string;
  currency: string;
  amount_paid: string;
  amount_refunded: string;
  customer_email: string | null;
  refund_due: boolean;
  version: number;
  expires_at: string | null;
  created_at: string;
  updated_at: string;
  items: OrderItem[];
}

export interface LockedRow extends OrderRow {
  paid_by_hand: boolean;
  accepted_difference: string;
}

export function rowToOrder(row: OrderRow): Order {
  return {
    id: row.id,
    // orders_status_known lets nothing else in.
    status: row.status as OrderStatus,
    items: row.items,
    total: Number(row.total),
    currency: row.currency,
    amount_paid: Number(row.amount_paid),
    amount_refunded: Number(row.amount_refunded),
    customer_email: row.customer_email,
    version: row.version,
    expires_at: row.expires_at,
    created_at: row.created_at,
    updated_at: row.updated_at,
    ...(row.refund_due ? { refund_due: true } : {}),
    ...soleItem(row.items),
  };
}

export function rowToLocked(row: LockedRow): LockedOrder {
  const money = {
    totalCents: toCents(row.total),
    paidCents: sumCents(row.amount_paid),
    refundedCents: sumCents(row.amount_refunded),
    paidByHand: row.paid_by_hand,
    acceptedCents: sumCents(row.accepted_difference),
  };
  return { ...rowToOrder(row), money };
}

/** A sum may have more digits than an amount, and a difference a sign; NUMERIC(15,2) is exact as a double. */
function sumCents(decimal: string): number {
  return Math.round(Number(decimal) * 100);
}

/** Many orders by their ids, written as callers see them; in no particular order, and without ids that are not there. */
export async function findReadyOrders(db: Db, ids: readonly number[]): Promise<ReadyRow[]> {
  const { rows } = await db.executeQuery<OrderRow>(CompiledQuery.raw(ORDERS_BY_ID, [plainArray(ids)]));
  return rows.map((row) => ({ id: row.id, ...toReadyAnswer(rowToOrder(row)) }));
}

/**
 * Payloads of `order.created`, by the ids of orders: what an order was when it was placed. Of its row, only columns that
 * never change are read (`orders_as_placed`).
 */
export async function findPlacedOrders(
  db: Db,
  ids: readonly number[],
): Promise<Map<number, { order: Order }>> {
  const { rows } = await db.executeQuery<OrderRow>(CompiledQuery.raw(ORDERS_BY_ID, [plainArray(ids)]));
  return new Map(
    rows.map((row) => [
      row.id,
      {
        order: rowToOrder({
          ...row,
          status: 'PENDING',
          amount_paid: '0',
          amount_refunded: '0',
          refund_due: false,
          version: 1,
          updated_at: row.created_at,
        }),
      },
    ]),
  );
}

/** The text that Kysely would build anew for every read. */
const ORDERS_BY_ID = `
  select ${orderColumns.join(', ')}, ${ITEMS} as items
    from orders
   where id = any($1::bigint[])`;

/**
 * Locks orders, so that a decision about their states still holds when it is written. They are locked in the
 * order of their ids, and everywhere before their products. Ids that are not there are missing from the map.
 */
export async function lockOrders(tx: Tx, ids: readonly number[]): Promise<Map<number, LockedOrder>> {
  const rows = await tx
    .selectFrom('orders')
    .select(lockedColumns)
    .select(orderItems.as('items'))
    .where('id', '=', sql<number>`any(${plainArray(ids)}::bigint[])`)
    .orderBy('id')
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.id, rowToLocked(row)]));
}

export async function listOrders(db: Db, filter: OrderFilter, page: PageRequest): Promise<Order[]> {
  const query = filtered(db.selectFrom('orders').select(orderColumns).select(orderItems.as('items')), filter);
  const rows = await onPage(query, 'orders', page).execute();
  return rows.map(rowToOrder);
}

/**
 * Transactions that run side by side draw their ids in another order than that of their times, by seconds at most. A
 * period's range of ids is guessed wider by this much; it is whole even if the clock was set back (0010), and the times
 * themselves decide.
 */
const CREATION_SLACK = '1 minute';

function filtered<O>(query: SelectQueryBuilder<DB, 'orders', O>, filter: OrderFilter): typeof query {
  const { status, product_id, customer_email, created_from, created_to } = filter;
  let result = query;
  if (status !== undefined) result = result.where('status', '=', status);
  if (customer_email !== undefined) {
    result = result
      .where(sql<boolean>`search_text(customer_email) = search_text(${customer_email})`)
      // PostgreSQL does not see that the line above says so, too, and the index holds no others.
      .where('customer_email', 'is not', null);
  }
  if (created_from !== undefined) {
    const firstId = sql<number>`order_first_id(${created_from}, order_id_near(${created_from}::timestamptz - ${CREATION_SLACK}::interval) - 100)`;
    result = result.where('created_at', '>=', created_from).where('orders.id', '>=', firstId);
  }
  if (created_to !== undefined) {
    const endId = sql<number>`order_end_id(${created_to}, order_id_near(${created_to}::timestamptz + ${CREATION_SLACK}::interval))`;
    result = result.where('created_at', '<', created_to).where('orders.id', '<', endId);
  }
  if (product_id !== undefined) {
    // By the ledger: an order that names a product has reserved it, once.
    result = result.where((eb) =>
      eb.exists(
        eb
          .selectFrom('stock_movements as named')
          .select('named.order_id')
          .whereRef('named.order_id', '=', 'orders.id')
          .where('named.product_id', '=', product_id)
          .where('named.kind', '=', 'reserved'),
      ),
    );
  }
  return result;
}

export interface OrderUpdate {
  id: number;
  status: OrderStatus;
  money: OrderMoney;
  refundDue: boolean;
  /** Null unless this update cancels the order. */
  cancelCause: string | null;
}

/** A step after the placement, as it is kept for ever. */
export interface NewStep {
  orderId: number;
  /** Among the steps that this transaction takes with the order, which share a version. */
  position: number;
  from: OrderStatus;
  to: OrderStatus;
  cause: string;
  refundDue: boolean;
  caller: Caller;
}

/**
 * Moves locked orders to other states, or counts their money up, and keeps the steps, in one statement.
 * @returns what the database has made of each order, by its id
 */
export async function updateOrders(
  tx: Tx,
  updates: readonly OrderUpdate[],
  steps: readonly NewStep[],
): Promise<Map<number, Pick<Order, 'version' | 'updated_at'>>> {
  const { rows } = await sql<Pick<Order, 'id' | 'version' | 'updated_at'>>`
    with moved as (
      update orders o
         set status = u.status, refund_due = u.refund_due, cancel_cause = coalesce(u.cancel_cause, o.cancel_cause),
             amount_paid = u.amount_paid, amount_refunded = u.amount_refunded, paid_by_hand = u.paid_by_hand,
             accepted_difference = u.accepted_difference, version = o.version + 1, updated_at = now()
        from unnest(
          ${plainArray(updates.map((u) => u.id))}::bigint[],
          ${plainArray(updates.map((u) => u.status))}::text[],
          ${plainArray(updates.map((u) => String(u.refundDue)))}::boolean[],
          ${textArray(updates.map((u) => u.cancelCause))}::text[],
          ${plainArray(updates.map((u) => centsToDecimal(u.money.paidCents)))}::numeric[],
          ${plainArray(updates.map((u) => centsToDecimal(u.money.refundedCents)))}::numeric[],
          ${plainArray(updates.map((u) => String(u.money.paidByHand)))}::boolean[],
          ${plainArray(updates.map((u) => centsToDecimal(u.money.acceptedCents)))}::numeric[]
        ) as u (id, status, refund_due, cancel_cause, amount_paid, amount_refunded, paid_by_hand, accepted_difference)
       where o.id = u.id
      returning o.id, o.version, o.updated_at
    ), kept as (
      insert into order_steps
        (order_id, version, position, from_status, to_status, cause, refund_due, actor, request_id)
      select s.order_id, moved.version, s.position, s.from_status, s.to_status, s.cause, s.refund_due, s.actor,
             s.request_id
        from unnest(
          ${plainArray(steps.map((s) => s.orderId))}::bigint[],
          ${plainArray(steps.map((s) => s.position))}::smallint[],
          ${plainArray(steps.map((s) => s.from))}::text[],
          ${plainArray(steps.map((s) => s.to))}::text[],
          ${textArray(steps.map((s) => s.cause))}::text[],
          ${plainArray(steps.map((s) => String(s.refundDue)))}::boolean[],
          ${textArray(steps.map((s) => s.caller.actor))}::text[],
          ${textArray(steps.map((s) => s.caller.requestId))}::text[]
        ) as s (order_id, position, from_status, to_status, cause, refund_due, actor, request_id)
        join moved on moved.id = s.order_id
    )
    select id, version, updated_at from moved
  `.execute(tx);
  return new Map(rows.map(({ id, ...written }) => [id, written]));
}
