import type { IdReader } from '../db/id-reader.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import { type Once, runOnce } from '../idempotency/run-once.tx.ts';
import type { RequestContext } from '../idempotency/context.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError, validationFailed } from '../lib/errors.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import { requireVersion } from '../lib/versions.ts';
import { productUpdated } from './product.events.ts';
import { lockProduct } from './product.repository.ts';
import type { AdjustedStock, StockExplanation } from './product-stock.ts';
import { stockOf, type Product, productNotFound } from './product.ts';
import type { Movement, MovementFilter } from '../inventory/movement.ts';
import {
  type LedgerSums,
  listHolders,
  listMovements,
  sumLedger,
  wasDeleted,
} from '../inventory/movement.repository.ts';
import { type Adjustment, bookOf } from '../inventory/stock-book.ts';
import { writeStockReturning } from '../inventory/write-stock.tx.ts';

/** An answer to read by eye; `GET /orders?product_id=` has the rest. */
const ORDERS_LISTED_MAX = 100;

export type ProductStockService = ReturnType<typeof createProductStockService>;

export interface ProductStockServiceDependencies {
  db: Db;
  lists: Db;
  reader: IdReader;
}

export function createProductStockService({ db, lists, reader }: ProductStockServiceDependencies) {
  return {
    /** @throws AppError product_not_found when there never was such a product */
    async listMovements(id: number, filter: MovementFilter, query: PageQuery): Promise<Page<Movement>> {
      // A cursor of one product's ledger leads nowhere in another's.
      const filters = { id, ...filter };
      const page = pageRequest(query, '-id', filters);
      // The ledger outlives its product.
      const isKnown = (await reader.find(id)) !== undefined || (await wasDeleted(lists, id));
      if (!isKnown) productNotFound();
      return toPage(await listMovements(lists, id, filter, page), page, filters);
    },

    /** @throws AppError product_not_found, version_mismatch, insufficient_stock, stock_out_of_range, idempotency_key_reused */
    adjust(
      id: number,
      adjustment: Adjustment,
      { caller, ifMatch, key }: RequestContext,
    ): Promise<Once<AdjustedStock>> {
      return inTransaction(db, async (tx) => {
        // Locked, so that of many adjustments at once each adds to what the one before it has left. And locked before
        // the key is claimed: the transaction that places orders locks products first and then inserts keys, and an
        // order with the same key would wait for this transaction while it waits for the product.
        const product = await lockProduct(tx, id);
        return runOnce(tx, key, 201, async () => {
          const before = product ?? productNotFound();
          requireVersion(ifMatch, before);
          return adjustStock(tx, before, adjustment, caller);
        });
      });
    },

    /**
     * @param asOf undefined for now
     * @throws AppError product_not_found when there never was such a product, validation_failed for a time that is still to come
     */
    async explain(id: number, asOf: string | undefined): Promise<StockExplanation> {
      const sums = (await sumLedger(lists, id, asOf)) ?? productNotFound();
      if (sums.in_future) {
        const fix = 'Send a time that is past, or leave it out for now.';
        throw validationFailed([{ path: 'query/as_of', message: 'is still to come', fix }]);
      }
      const { last_id, open_orders } = sums;
      const listed = Math.min(open_orders, ORDERS_LISTED_MAX);
      const holders = last_id === null || listed <= 0 ? [] : await listHolders(lists, id, last_id, listed);
      return toExplanation(sums, holders);
    },
  };
}

async function adjustStock(
  tx: Tx,
  before: Product,
  adjustment: Adjustment,
  caller: Caller,
): Promise<AdjustedStock> {
  const book = bookOf(stockOf(before));
  const change = book.adjust(before.id, adjustment, caller);
  if (change instanceof AppError) throw change;
  const [movement] = await writeStockReturning(tx, book);
  if (movement === undefined) throw new Error('the insert of a movement returned no row');
  // What the statement has made of the row is known; reading it again would only keep the lock for longer.
  const product: Product = {
    ...before,
    stock: before.stock + adjustment.delta,
    on_hand: change.onHandAfter,
    version: before.version + 1,
    updated_at: movement.created_at,
  };
  await appendEvents(tx, [newEvent(productUpdated, product, { product, before }, caller)]);
  const { stock, reserved, on_hand, version } = product;
  return { movement, stock, reserved, on_hand, version };
}

function toExplanation(sums: LedgerSums, orders: StockExplanation['reserved']['orders']): StockExplanation {
  const { product_id, sku, as_of, received, adjusted, shipped, reserved, open_orders } = sums;
  const onHand = received + adjusted - shipped;
  const listed = orders.reduce((sum, { quantity }) => sum + quantity, 0);
  return {
    product_id,
    sku,
    as_of,
    on_hand: { total: onHand, received, adjusted, shipped },
    reserved: {
      total: reserved,
      orders,
      other_orders: { count: open_orders - orders.length, quantity: reserved - listed },
    },
    stock: onHand - reserved,
    stored: { on_hand: sums.stored_on_hand, reserved: sums.stored_reserved },
    matches: onHand === sums.stored_on_hand && reserved === sums.stored_reserved,
  };
}
