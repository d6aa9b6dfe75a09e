import { type RawBuilder, sql } from 'kysely';

import type { Db, Tx } from '../db/types.ts';
import type { Movement } from './movement.ts';
import { StockBook, type StockChange, type StockedProduct } from './stock-book.ts';

/** A product's row as it stands under the lock, money in cents. */
export interface LockedProduct extends StockedProduct {
  readonly priceCents: number;
  readonly active: boolean;
}

/**
 * Locks products in one statement, always in the order of their ids, so that two baskets
 * that share products wait for each other and cannot deadlock. Ids that do not exist are missing from the book.
 */
export async function lockStock(tx: Tx, ids: readonly number[]): Promise<StockBook<LockedProduct>> {
  return new StockBook(toMap(await selectStock(tx, ids).orderBy('id').forUpdate().execute()));
}

/**
 * Locks those of the products that no other transaction holds at this moment, and waits for none; the others are missing
 * from the book. A transaction that holds products already may only lock more of them this way, because waiting for one
 * out of the order of the ids can deadlock. Its own locks are never skipped, and their rows are read as they stand now.
 */
export async function lockFreeStock(tx: Tx, ids: readonly number[]): Promise<StockBook<LockedProduct>> {
  return new StockBook(toMap(await selectStock(tx, ids).orderBy('id').forUpdate().skipLocked().execute()));
}

/** Those of the ids that products have. No lock is taken. */
export async function findProductIds(db: Db, ids: readonly number[]): Promise<number[]> {
  const rows = await db.selectFrom('products').select('id').where('id', '=', anyOf(ids)).execute();
  return rows.map(({ id }) => id);
}

function selectStock(db: Db, ids: readonly number[]) {
  return db
    .selectFrom('products')
    .select(['id', 'sku', 'on_hand as onHand', 'reserved', 'active', 'version'])
    .select('low_stock_threshold as lowStockThreshold')
    .select(sql<number>`(price * 100)::bigint`.as('priceCents'))
    .where('id', '=', anyOf(ids));
}

function anyOf(ids: readonly number[]) {
  return sql<number>`any(${sql.val(ids)}::bigint[])`;
}

function toMap(rows: readonly LockedProduct[]): Map<number, LockedProduct> {
  return new Map(rows.map((row) => [row.id, row]));
}

/** Writes a book, its counters and its movements, in one statement. To be called once a transaction. */
export async function writeStock(tx: Tx, book: StockBook): Promise<void> {
  if (book.changes.length === 0) return;
  await bookStatement(book).execute(tx);
}

/** Writes a book, and returns its movements as they are stored. */
export async function writeStockReturning(tx: Tx, book: StockBook): Promise<Movement[]> {
  const { rows } = await sql<Movement>`
    ${bookStatement(book)}
    returning id, product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id, reason, note,
              created_at
  `.execute(tx);
  return rows;
}

function bookStatement(book: StockBook): RawBuilder<unknown> {
  const counters = book.changedCounters();
  return sql`
    with changed as (
      update products p
         set on_hand = c.on_hand, reserved = c.reserved, version = p.version + 1, updated_at = now()
        from unnest(
          ${counters.map((c) => c.id)}::bigint[],
          ${counters.map((c) => c.onHand)}::bigint[],
          ${counters.map((c) => c.reserved)}::bigint[]
        ) as c (id, on_hand, reserved)
       where p.id = c.id
    )
    ${movementInsert(book.changes)}
  `;
}

/** Writes movements alone, where the caller's own statement writes the counters of the book. */
export async function insertMovements(tx: Tx, changes: readonly StockChange[]): Promise<void> {
  if (changes.length === 0) return;
  await movementInsert(changes).execute(tx);
}

function movementInsert(changes: readonly StockChange[]): RawBuilder<unknown> {
  return sql`
    insert into stock_movements
      (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id, reason, note)
    select m.product_id, m.kind, m.delta, m.on_hand_after, m.reserved_after, m.order_id,
           m.actor, m.request_id, m.reason, m.note
      from unnest(
        ${changes.map((c) => c.productId)}::bigint[],
        ${changes.map((c) => c.kind)}::text[],
        ${changes.map((c) => c.delta)}::bigint[],
        ${changes.map((c) => c.onHandAfter)}::bigint[],
        ${changes.map((c) => c.reservedAfter)}::bigint[],
        ${changes.map((c) => c.orderId)}::bigint[],
        ${changes.map((c) => c.caller.actor)}::text[],
        ${changes.map((c) => c.caller.requestId)}::text[],
        ${changes.map((c) => c.reason)}::text[],
        ${changes.map((c) => c.note)}::text[]
      ) with ordinality
        as m (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id, reason, note,
              position)
     order by m.position
  `;
}
