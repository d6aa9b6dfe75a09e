import { type RawBuilder, sql } from 'kysely';

import { plainArray } from '../../db/pg-array.ts';
import type { Db, Tx } from '../../db/types.ts';
import type { LockedProduct } from '../../inventory/stock.repository.ts';
import { lockedColumns, type LockedRow, orderItems, rowToLocked } from '../order.repository.ts';
import type { LockedOrder, Order } from '../order.ts';

/*
 * Which orders are overdue: unpaid, and past their time.
 *
 * The database's now() decides, the time at which the transaction began, rounded to the millisecond as every time is
 * stored. So what decides is what is written: an order's `order.paid` is always dated before its expires_at, and its
 * `order.expired` never (clock_timestamp() would let a transaction that waits expire an order before its time, by its
 * own date). A transaction begins after the requests that it serves have come, on the lane in the same moment in which
 * it draws its orders; so what was overdue for them is overdue for it. One that has waited for a lock past an order's
 * time still pays that order: the payment came in time.
 *
 * Clocks decide only which of the two legal ways it is. The lock on the order's row sees to it that it is one of them and
 * not both: the next transaction that locks the row reads what the one before it has written.
 */
const overdue = sql<boolean>`(orders.status = 'PENDING' and orders.expires_at <= now()::timestamptz(3))`;

/**
 * Locks overdue orders, the longest overdue first, and leaves out those that other transactions hold: another sweep, a
 * payment, a buyer in need of the stock. It never waits, so neither the number of sweeps nor the order of these locks
 * matters.
 */
export async function claimOverdue(tx: Tx, limit: number): Promise<LockedOrder[]> {
  const rows = await tx
    .selectFrom('orders')
    .select(lockedColumns)
    .select(orderItems.as('items'))
    .where(overdue)
    .orderBy('expires_at')
    // A literal, because the planner takes a limit that it cannot see for a tenth of all rows.
    .limit(sql.lit(limit))
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(rowToLocked);
}

/** For how many seconds the longest overdue order has been so; undefined when none is. */
export async function findLongestOverdue(db: Db): Promise<number | undefined> {
  const row = await db
    .selectFrom('orders')
    .select(sql<number>`extract(epoch from now() - expires_at)::float8`.as('seconds'))
    .where(overdue)
    .orderBy('expires_at')
    .limit(sql.lit(1))
    .executeTakeFirst();
  return row?.seconds;
}

/**
 * The ids of overdue orders that hold one of the products, the longest overdue first. They are found by way of the
 * overdue ones, of which the sweep leaves few (a look at each takes a microsecond), and not by way of the product's
 * orders, which may be millions: where nothing is overdue, this is one look at the end of an index. `offset 0` keeps the
 * planner from turning that around.
 */
function overdueHolds(productIds: readonly number[], limit: number): RawBuilder<unknown> {
  return sql`
    select id from orders
     where ${overdue}
       and exists (
         select from order_items i
          where i.order_id = orders.id and i.product_id = any(${plainArray(productIds)}::bigint[])
         offset 0
       )
     order by expires_at
     limit ${sql.lit(limit)}`;
}

const wholeOrder = sql`${sql.join(lockedColumns.map((column) => sql.ref(column)))}, ${orderItems} as items`;

interface ClaimedHolds {
  orders: LockedOrder[];
  /** Products of overdue orders that are left, because another transaction holds them or there are too many. */
  productsLeft: Set<number>;
}

/** The same as `claimOverdue`, of the orders that hold one of the products. */
export async function claimHolds(
  tx: Tx,
  productIds: readonly number[],
  limit: number,
): Promise<ClaimedHolds> {
  const lookAt = 2 * limit;
  const { rows } = await sql<LockedRow & { id: number | null; found: number; productsLeft: number[] | null }>`
    with found as materialized (${overdueHolds(productIds, lookAt)}
    ), claimed as materialized (
      select ${wholeOrder} from orders
       where id = any(array(select id from found)) and ${overdue}
       order by id
       limit ${sql.lit(limit)}
         for update of orders skip locked
    )
    select claimed.*, (select count(*) from found) as found,
           (select json_agg(distinct product_id) from order_items where order_id = any(array(
             select id from found where id not in (select id from claimed)
           ))) as "productsLeft"
      from (values (1)) as always left join claimed on true
  `.execute(tx);
  const { found = 0, productsLeft = null } = rows[0] ?? {};
  return {
    orders: rows.filter(({ id }) => id !== null).map(rowToLocked),
    // Beyond what was looked at, there may be any of them.
    productsLeft: new Set(found < lookAt ? (productsLeft ?? []) : productIds),
  };
}

/**
 * Locks the overdue orders that hold one of the products, in the order of their ids, and waits for those that other
 * transactions hold. Only for a transaction that holds no product, as everywhere where orders are locked.
 */
export async function lockHolds(
  tx: Tx,
  productIds: readonly number[],
  limit: number,
): Promise<LockedOrder[]> {
  const { rows } = await sql<LockedRow>`
    select ${wholeOrder} from orders
     where id = any(array(${overdueHolds(productIds, limit)})) and ${overdue}
     order by id
       for update of orders
  `.execute(tx);
  return rows.map(rowToLocked);
}

/**
 * Which of these orders, which the transaction has locked, are overdue now or have expired before, by their ids; others
 * are missing. An order without a time limit is never read for this.
 */
export async function findExpiries(
  tx: Tx,
  orders: Iterable<Order>,
): Promise<Map<number, 'overdue' | 'expired'>> {
  const ids = [...orders]
    .filter(({ expires_at, status }) => expires_at !== null && ['PENDING', 'CANCELED'].includes(status))
    .map(({ id }) => id);
  if (ids.length === 0) return new Map();
  const { rows } = await sql<{ id: number; overdue: boolean }>`
    select id, ${overdue} as overdue
      from orders
     where id = any(${plainArray(ids)}::bigint[])
       and (${overdue} or (status = 'CANCELED' and cancel_cause = 'expired'))
  `.execute(tx);
  return new Map(rows.map((row) => [row.id, row.overdue ? 'overdue' : 'expired']));
}

export interface SellableStock {
  products: Map<number, LockedProduct>;
  /** The time of the reading; empty when no product was found. */
  now: string;
}

/**
 * Products with what an order would find: overdue holds count as released. Without a lock, so good for a preview only.
 * The way to them is that of `overdueHolds`.
 */
export async function findSellableStock(db: Db, ids: readonly number[]): Promise<SellableStock> {
  const { rows } = await sql<LockedProduct & { now: string }>`
    with overdue as materialized (
      select i.product_id, sum(i.quantity)::bigint as quantity
        from orders cross join lateral (
          select product_id, quantity from order_items
           where order_id = orders.id and product_id = any(${plainArray(ids)}::bigint[])
          offset 0
        ) i
       where ${overdue}
       group by i.product_id
    )
    select id, sku, (price * 100)::bigint as "priceCents", on_hand as "onHand",
           reserved - coalesce(overdue.quantity, 0) as reserved, active, version,
           low_stock_threshold as "lowStockThreshold", now()::timestamptz(3) as now
      from products left join overdue on overdue.product_id = id
     where id = any(${plainArray(ids)}::bigint[])
  `.execute(db);
  const products = new Map<number, LockedProduct>();
  for (const { now: _, ...product } of rows) products.set(product.id, product);
  return { products, now: rows[0]?.now ?? '' };
}
