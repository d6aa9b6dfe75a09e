import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import type { DB } from '../db/schema.ts';
import type { Db } from '../db/types.ts';
import type { PageRequest } from '../lib/page.ts';
import type { Movement, MovementFilter } from './movement.ts';
import type { MovementKind } from './stock-book.ts';

const columns = [
  'id',
  'product_id',
  'kind',
  'delta',
  'on_hand_after',
  'reserved_after',
  'order_id',
  'actor',
  'request_id',
  'reason',
  'note',
  'created_at',
] as const;

// stock_movements_kind_known lets no other kind in.
type MovementRow = Omit<Movement, 'kind'> & { kind: string };

function rowToMovement(row: MovementRow): Movement {
  return { ...row, kind: row.kind as MovementKind };
}

export async function listMovements(
  db: Db,
  productId: number,
  filter: MovementFilter,
  page: PageRequest,
): Promise<Movement[]> {
  const all = db.selectFrom('stock_movements').select(columns).where('product_id', '=', productId);
  const query = filtered(all, productId, filter);
  const rows = await onPage(query, 'stock_movements', page).execute();
  return rows.map(rowToMovement);
}

/** Whether there was such a product, of which only the ledger is left. */
export async function wasDeleted(db: Db, productId: number): Promise<boolean> {
  const row = await db
    .selectFrom('deleted_products')
    .select('id')
    .where('id', '=', productId)
    .executeTakeFirst();
  return row !== undefined;
}

/** The times of movements follow their ids only so far; see `CREATION_SLACK` of orders, which is the same. */
const CREATION_SLACK = '1 minute';

function filtered<O>(
  query: SelectQueryBuilder<DB, 'stock_movements', O>,
  productId: number,
  { kind, order_id, created_from, created_to }: MovementFilter,
): typeof query {
  let result = query;
  // Written out, because PostgreSQL takes a partial index only when it sees the value. It is one of five words.
  if (kind !== undefined) result = result.where('kind', '=', sql.lit(kind));
  if (order_id !== undefined) result = result.where('order_id', '=', order_id);
  if (created_from !== undefined) {
    const firstId = sql<number>`movement_first_id(${productId}, ${created_from}, movement_id_near(${productId}, ${created_from}::timestamptz - ${CREATION_SLACK}::interval) - 100)`;
    result = result.where('created_at', '>=', created_from).where('id', '>=', firstId);
  }
  if (created_to !== undefined) {
    const endId = sql<number>`movement_end_id(${productId}, ${created_to}, movement_id_near(${productId}, ${created_to}::timestamptz + ${CREATION_SLACK}::interval))`;
    result = result.where('created_at', '<', created_to).where('id', '<', endId);
  }
  return result;
}

export interface LedgerSums {
  product_id: number;
  sku: string;
  as_of: string;
  in_future: boolean;
  received: number;
  adjusted: number;
  shipped: number;
  reserved: number;
  /** How many orders hold some of what is reserved. */
  open_orders: number;
  /** The last movement that was added up; null when there is none. */
  last_id: number | null;
  stored_on_hand: number;
  stored_reserved: number;
}

/**
 * Adds up the ledger of one product, in one statement and so in one snapshot with the counters that it is held against.
 *
 * The ledger up to a time is what stands before the first movement that is later than it. A product's movements follow
 * each other under its lock, so that is a state which the counters really had. Their times are those at which their
 * transactions began, and one that had to wait for the lock stands behind others that began later: picking movements by
 * their times alone would show states that never were. After a clock was set back, movements dated ahead stand before
 * those of the right time, and count with them: the first later one is looked for behind the last that is a minute older.
 * @param asOf undefined for now
 * @returns undefined when there never was such a product
 */
export async function sumLedger(
  db: Db,
  productId: number,
  asOf: string | undefined,
): Promise<LedgerSums | undefined> {
  const stored =
    asOf === undefined
      ? sql`coalesce(p.on_hand, last.on_hand_after, 0) as stored_on_hand,
            coalesce(p.reserved, last.reserved_after, 0) as stored_reserved`
      : sql`coalesce(last.on_hand_after, 0) as stored_on_hand, coalesce(last.reserved_after, 0) as stored_reserved`;
  const { rows } = await sql<LedgerSums>`
    with sums as (
      select coalesce(sum(delta) filter (where kind = 'received'), 0)::bigint as received,
             coalesce(sum(delta) filter (where kind = 'adjusted'), 0)::bigint as adjusted,
             coalesce(-sum(delta) filter (where kind = 'shipped'), 0)::bigint as shipped,
             coalesce(sum(delta) filter (where kind in ('reserved', 'released', 'shipped')), 0)::bigint as reserved,
             count(*) filter (where kind = 'reserved') - count(*) filter (where kind in ('released', 'shipped'))
               as open_orders,
             max(id) as last_id
        from stock_movements
       where product_id = ${productId} ${asOf === undefined ? sql`` : untilTime(productId, asOf)}
    )
    select ${productId}::bigint as product_id, coalesce(p.sku, d.sku) as sku, sums.*, ${stored},
           coalesce(${asOf ?? null}::timestamptz, now())::timestamptz(3) as as_of,
           coalesce(${asOf ?? null}::timestamptz > now()::timestamptz(3), false) as in_future
      from sums
      left join products p on p.id = ${productId}
      left join stock_movements last on last.product_id = ${productId} and last.id = sums.last_id
      left join deleted_products d on d.id = ${productId}
     where coalesce(p.sku, d.sku) is not null
  `.execute(db);
  return rows[0];
}

function untilTime(productId: number, asOf: string): RawBuilder<unknown> {
  return sql`and id < coalesce(
    (select min(id) from stock_movements
      where product_id = ${productId} and created_at > ${asOf}
        and id > coalesce(
          (select max(id) from stock_movements
            where product_id = ${productId} and created_at <= ${asOf}::timestamptz - ${CREATION_SLACK}::interval),
          0)),
    9223372036854775807
  )`;
}

/**
 * The newest orders whose reserved pieces were neither given back nor sent, by the ledger up to a movement. Nothing is
 * ever written before that movement or changed, so this may be read after the sums, and still be of the same moment.
 * @param count how many there are to find: with them the search ends, however long the ledger is
 */
export async function listHolders(db: Db, productId: number, lastId: number, count: number) {
  const { rows } = await sql<{ order_id: number; quantity: number }>`
    select r.order_id, r.delta as quantity
      from stock_movements r
     where r.product_id = ${productId} and r.id <= ${lastId} and r.kind = 'reserved'
       and not exists (
         select from stock_movements e
          where e.order_id = r.order_id and e.product_id = ${productId} and e.kind in ('released', 'shipped')
            and e.id <= ${lastId}
       )
     order by r.id desc
     limit ${count}
  `.execute(db);
  return rows;
}
