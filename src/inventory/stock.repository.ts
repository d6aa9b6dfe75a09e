import { type RawBuilder, sql } from 'kysely';

import type { Db, Tx } from '../db/types.ts';
import type { Movement } from './movement.ts';
import type { StockChange, StockCounters } from './stock-change.ts';

/** A product's row as it stands under the lock, money in cents. */
export interface LockedProduct extends StockCounters {
  sku: string;
  priceCents: number;
  active: boolean;
}

/**
 * Locks products in one statement, in the order of their ids, whatever order they were asked for: two baskets that
 * share products then wait for each other and never in a circle. Ids that are not there are missing from the map.
 */
export async function lockProducts(tx: Tx, ids: readonly number[]): Promise<Map<number, LockedProduct>> {
  return toMap(await selectStock(tx, ids).orderBy('id').forUpdate().execute());
}

/**
 * Locks those of the products that nobody else holds at this moment, and waits for none; the others are missing from the
 * map. Who holds products already may only take more of them this way: waiting for one out of the order of the ids is
 * how a circle begins. What this transaction holds itself is never skipped, and is read as it stands now.
 */
export async function lockFreeProducts(tx: Tx, ids: readonly number[]): Promise<Map<number, LockedProduct>> {
  return toMap(await selectStock(tx, ids).orderBy('id').forUpdate().skipLocked().execute());
}

/** The same rows without a lock: good for a preview, and for nothing that is written. */
export async function findStock(db: Db, ids: readonly number[]): Promise<Map<number, LockedProduct>> {
  return toMap(await selectStock(db, ids).execute());
}

function selectStock(db: Db, ids: readonly number[]) {
  return db
    .selectFrom('products')
    .select(['id', 'sku', 'on_hand as onHand', 'reserved', 'active'])
    .select(sql<number>`(price * 100)::bigint`.as('priceCents'))
    .where('id', '=', sql<number>`any(${sql.val(ids)}::bigint[])`);
}

function toMap(rows: readonly LockedProduct[]): Map<number, LockedProduct> {
  return new Map(rows.map((row) => [row.id, row]));
}

/**
 * Writes changes of stock and their movements, in one statement. The products must be locked by this transaction: the
 * counters after each change were computed from the locked rows, and the last one of a product is what is stored.
 * A transaction raises a product's version once, however many changes it makes.
 * @param writtenLater products whose counters the transaction goes on to change: for these, only movements are written
 */
export async function writeStockChanges(
  tx: Tx,
  changes: readonly StockChange[],
  writtenLater: ReadonlySet<number> = new Set(),
): Promise<void> {
  if (changes.length === 0) return;
  await changeStatement(changes, writtenLater).execute(tx);
}

/** Writes one change, and returns its movement as it is stored. */
export async function writeStockChange(tx: Tx, change: StockChange): Promise<Movement> {
  const { rows } = await sql<Movement>`
    ${changeStatement([change])}
    returning id, product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, request_id, reason, note,
              created_at
  `.execute(tx);
  const [movement] = rows;
  if (movement === undefined) throw new Error('the insert of a movement returned no row');
  return movement;
}

function changeStatement(
  changes: readonly StockChange[],
  writtenLater: ReadonlySet<number> = new Set(),
): RawBuilder<unknown> {
  const last = new Map(changes.map((change) => [change.productId, change]));
  const counters = [...last.values()].filter(({ productId }) => !writtenLater.has(productId));
  return sql`
    with changed as (
      update products p
         set on_hand = c.on_hand, reserved = c.reserved, version = p.version + 1, updated_at = now()
        from unnest(
          ${counters.map((c) => c.productId)}::bigint[],
          ${counters.map((c) => c.onHandAfter)}::bigint[],
          ${counters.map((c) => c.reservedAfter)}::bigint[]
        ) as c (id, on_hand, reserved)
       where p.id = c.id
    )
    ${movementInsert(changes)}
  `;
}

/** Writes movements alone, for counters that the caller has written itself. */
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
