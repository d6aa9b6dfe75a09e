import { type SelectQueryBuilder, sql } from 'kysely';

import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PageRequest } from '../lib/page.ts';
import type { OrderStatus } from './order-state.ts';
import { type Order, type OrderFilter, type OrderItem, soleItem } from './order.ts';

/** The items as one JSON array, so that an order is one row: no second trip, no join to fold up again. */
const items = sql<OrderItem[]>`(
  select json_agg(json_build_object(
           'product_id', i.product_id, 'sku', i.sku, 'quantity', i.quantity, 'unit_price', i.unit_price
         ) order by i.position)
    from order_items i
   where i.order_id = orders.id
)`;

const columns = [
  'orders.id',
  'orders.status',
  'orders.total',
  'orders.customer_email',
  'orders.refund_due',
  'orders.version',
  'orders.expires_at',
  'orders.created_at',
  'orders.updated_at',
] as const;

interface OrderRow {
  id: number;
  status: string;
  total: string;
  customer_email: string | null;
  refund_due: boolean;
  version: number;
  expires_at: string | null;
  created_at: string;
  updated_at: string;
}

function rowToOrder(row: OrderRow & { items: OrderItem[] }): Order {
  return {
    id: row.id,
    // orders_status_known lets nothing else in.
    status: row.status as OrderStatus,
    items: row.items,
    total: Number(row.total),
    customer_email: row.customer_email,
    version: row.version,
    expires_at: row.expires_at,
    created_at: row.created_at,
    updated_at: row.updated_at,
    ...(row.refund_due ? { refund_due: true } : {}),
    ...soleItem(row.items),
  };
}

export async function findOrder(db: Db, id: number): Promise<Order | undefined> {
  const row = await db
    .selectFrom('orders')
    .select(columns)
    .select(items.as('items'))
    .where('id', '=', id)
    .executeTakeFirst();
  return row && rowToOrder(row);
}

/**
 * Locks an order, so that whatever is decided about its state still holds when it is written. Orders are locked before
 * their products, everywhere, and nobody locks two orders.
 */
export async function lockOrder(tx: Tx, id: number): Promise<Order | undefined> {
  const row = await tx
    .selectFrom('orders')
    .select(columns)
    .select(items.as('items'))
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row && rowToOrder(row);
}

export async function listOrders(db: Db, filter: OrderFilter, page: PageRequest): Promise<Order[]> {
  let query = filtered(db.selectFrom('orders').select(columns).select(items.as('items')), filter);
  const ascending = page.sort === 'id';
  if (page.afterId !== undefined) query = query.where('orders.id', ascending ? '>' : '<', page.afterId);
  if (page.skip > 0) query = query.offset(page.skip);
  const rows = await query
    .orderBy('orders.id', ascending ? 'asc' : 'desc')
    .limit(page.limit + 1)
    .execute();
  return rows.map(rowToOrder);
}

function filtered<O>(query: SelectQueryBuilder<DB, 'orders', O>, filter: OrderFilter): typeof query {
  const { status, product_id, customer_email, created_from, created_to } = filter;
  let result = query;
  if (status !== undefined) result = result.where('status', '=', status);
  if (customer_email !== undefined) result = result.where('customer_email', '=', customer_email);
  if (created_from !== undefined) result = result.where('created_at', '>=', created_from);
  if (created_to !== undefined) result = result.where('created_at', '<', created_to);
  if (product_id !== undefined) {
    result = result.where((eb) =>
      eb.exists(
        eb
          .selectFrom('order_items as named')
          .select('named.order_id')
          .whereRef('named.order_id', '=', 'orders.id')
          .where('named.product_id', '=', product_id),
      ),
    );
  }
  return result;
}

/** Ids for new orders, and the time of this transaction, which is their creation. */
export async function drawOrderIds(tx: Tx, count: number): Promise<{ ids: number[]; now: string }> {
  const { rows } = await sql<{ id: number; now: string }>`
    select nextval('orders_id_seq') as id, now()::timestamptz(3) as now from generate_series(1, ${count})
  `.execute(tx);
  return { ids: rows.map(({ id }) => id), now: rows[0]?.now ?? '' };
}

/** Writes orders and their items, in one statement; whatever number of orders, one trip. */
export async function insertOrders(tx: Tx, orders: readonly Order[]): Promise<void> {
  const lines = orders.flatMap((order) =>
    order.items.map((item, position) => ({ ...item, orderId: order.id, position })),
  );
  await sql`
    with new_orders as (
      insert into orders (id, total, customer_email, expires_at, created_at, updated_at)
      select o.id, o.total, o.customer_email, o.expires_at, now(), now()
        from unnest(
          ${orders.map((o) => o.id)}::bigint[],
          ${orders.map((o) => decimal(o.total))}::numeric[],
          ${orders.map((o) => o.customer_email)}::text[],
          ${orders.map((o) => o.expires_at)}::timestamptz[]
        ) as o (id, total, customer_email, expires_at)
    )
    insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
    select * from unnest(
      ${lines.map((l) => l.orderId)}::bigint[],
      ${lines.map((l) => l.position)}::smallint[],
      ${lines.map((l) => l.product_id)}::bigint[],
      ${lines.map((l) => l.sku)}::text[],
      ${lines.map((l) => l.quantity)}::bigint[],
      ${lines.map((l) => decimal(l.unit_price))}::numeric[]
    )
  `.execute(tx);
}

function decimal(amount: number): string {
  return centsToDecimal(Math.round(amount * 100));
}

export interface StatusUpdate {
  status: OrderStatus;
  refundDue: boolean;
  raiseVersion: boolean;
}

/** Moves a locked order to another state. */
export async function updateOrderStatus(
  tx: Tx,
  id: number,
  { status, refundDue, raiseVersion }: StatusUpdate,
): Promise<void> {
  await tx
    .updateTable('orders')
    .set({
      status,
      refund_due: refundDue,
      version: sql`version + ${raiseVersion ? 1 : 0}::int`,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .execute();
}
