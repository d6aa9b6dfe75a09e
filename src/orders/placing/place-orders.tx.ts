import type { Tx } from '../../db/types.ts';
import { findKeys } from '../../idempotency/idempotency.repository.ts';
import { type Once, replayOf } from '../../idempotency/run-once.tx.ts';
import { type IdempotencyKey, keyId } from '../../idempotency/key.ts';
import { InsufficientStock, type StockBook, type StockChange } from '../../inventory/stock-book.ts';
import { findProductIds, insertMovements, type LockedProduct } from '../../inventory/stock.repository.ts';
import { writeStock, writeStockAlerts } from '../../inventory/write-stock.tx.ts';
import type { Caller } from '../../lib/caller.ts';
import { AppError, unavailable } from '../../lib/errors.ts';
import { decideOrder, type OrderLine, previewOrder } from './decide-order.ts';
import { releaseHolds } from '../expiry/expire-orders.tx.ts';
import { expiryTime } from '../order-state.ts';
import { type PlannedTransition, writeTransitions } from '../order-transition.tx.ts';
import type { NewOrder, Order, OrderTerms } from '../order.ts';
import {
  type LockedForOrders,
  lockForOrders,
  type PlacedOrder,
  writePlacedOrders,
} from './place-orders.repository.ts';

/*
 * Placing orders, any number of them in one transaction.
 *
 * - All products of all orders are locked first, in one ordered statement; every check is made on the locked rows, so
 *   two buyers of the last piece are decided one after the other, also when two processes serve them.
 * - Orders are decided in the order of arrival, each on what the ones before it have left: all of its items or none.
 * - Where stock is short, overdue orders that hold it are expired first, in the same transaction, and all is decided
 *   again; where nothing is short, nothing is asked about them.
 * - A refused order leaves no trace and harms no other; that includes its idempotency key, which can be tried again.
 * - Orders, items, stock, ledger, events and keys are written by one statement, and COMMIT goes right behind it.
 */

export interface Placement {
  order: NewOrder;
  caller: Caller;
  key: IdempotencyKey | undefined;
}

/** Too little stock, while overdue orders hold some of it that could not be had without waiting. */
export interface HeldStock {
  /** The refusal, if it stays so. */
  held: InsufficientStock;
}

export type PlacementResult = Once<Order> | HeldStock | AppError;

export function isHeld(result: Once<Order> | HeldStock): result is HeldStock {
  return 'held' in result;
}

export interface PlacedBatch {
  /** One for each placement, in their order. */
  results: PlacementResult[];
  /** How many overdue orders were expired to make room. */
  expired: number;
}

/** @param skipLocked decides only what can be locked at once, and refuses the rest as busy */
export async function placeOrders(
  tx: Tx,
  placements: readonly Placement[],
  { terms, skipLocked = false }: { terms: OrderTerms; skipLocked?: boolean },
): Promise<PlacedBatch> {
  // Every caller that waited has given up.
  if (placements.length === 0) return { results: [], expired: 0 };
  const productIds = productsOf(placements);
  const locked = await lockForOrders(tx, productIds, placements.length, skipLocked);
  const busy = skipLocked ? await findBusy(tx, productIds, locked) : new Set<number>();
  const decide = async () => {
    const answers = await findKeys(
      tx,
      placements.flatMap(({ key }) => key ?? []),
    );
    return new Batch(placements, { locked, busy, answers, terms });
  };
  let batch = await decide();
  const released = batch.short.size > 0 && (await releaseHolds(tx, batch.short, locked.book.ids()));
  if (!released) {
    await write(tx, batch.placed, [], locked.book);
    return { results: batch.results, expired: 0 };
  }
  // What was decided before is forgotten with its book; nothing of it is written.
  const { expiries, book, left } = released;
  locked.book = book;
  batch = await decide();
  await write(tx, batch.placed, expiries, book);
  return { results: batch.results.map((result) => orHeld(result, left)), expired: expiries.length };
}

function orHeld(result: PlacementResult, left: ReadonlySet<number>): PlacementResult {
  const isLeft = result instanceof InsufficientStock && result.productIds.some((id) => left.has(id));
  return isLeft ? { held: result } : result;
}

async function write(
  tx: Tx,
  placed: readonly PlacedOrder[],
  expiries: readonly PlannedTransition[],
  book: StockBook<LockedProduct>,
): Promise<void> {
  await writeTransitions(tx, expiries);
  if (placed.length === 0) {
    await writeStock(tx, book);
    return;
  }
  // A product that is released and sold again is one change of its row: the statement of the orders writes it.
  await insertMovements(
    tx,
    book.changes.filter(({ kind }) => kind === 'released'),
  );
  await writeStockAlerts(tx, book);
  await writePlacedOrders(tx, placed, book.changedCounters());
}

function productsOf(placements: readonly Placement[]): number[] {
  const ids = new Set<number>();
  for (const { order } of placements) for (const { productId } of order.items) ids.add(productId);
  return [...ids];
}

/** Products that exist but are not locked, because another transaction holds them. */
async function findBusy(tx: Tx, ids: readonly number[], { book }: LockedForOrders): Promise<Set<number>> {
  const missing = ids.filter((id) => !book.has(id));
  return new Set(await findProductIds(tx, missing));
}

interface Given {
  locked: LockedForOrders;
  busy: ReadonlySet<number>;
  /** Answers by key: those of earlier transactions, and those of this batch as it goes. */
  answers: Map<string, { fingerprint: Buffer; response: unknown }>;
  terms: OrderTerms;
}

/** A batch as it was decided: what its orders have taken, and what will be written. */
class Batch {
  readonly results: PlacementResult[];
  readonly placed: PlacedOrder[] = [];
  /** Products of which there was too little for some order. */
  readonly short = new Set<number>();
  readonly #given: Given;
  readonly #terms: { currency: string; expiresAt: string | null };

  constructor(placements: readonly Placement[], given: Given) {
    this.#given = given;
    const { currency, ttlMinutes } = given.terms;
    this.#terms = { currency, expiresAt: expiryTime(given.locked.now, ttlMinutes) };
    this.results = placements.map((placement, index) => this.#decide(placement, index));
  }

  #decide({ order, caller, key }: Placement, index: number): PlacementResult {
    const { locked, busy, answers } = this.#given;
    const answer = key && answers.get(keyId(key));
    if (key !== undefined && answer !== undefined) return replayOf<Order>(key, answer);
    if (order.items.some(({ productId }) => busy.has(productId))) {
      return unavailable('The stock of a product is being changed, try again');
    }
    const decision = decideOrder(order, locked.book);
    if (decision instanceof AppError) {
      if (decision instanceof InsufficientStock) for (const id of decision.productIds) this.short.add(id);
      return decision;
    }
    // One id was drawn for each placement.
    const id = locked.orderIds[index] as number;
    const placed: Order = { id, ...previewOrder(order, decision, locked.now, this.#terms) };
    this.placed.push({ order: placed, key, changes: reserve(locked.book, decision.lines, id, caller) });
    if (key !== undefined) answers.set(keyId(key), { fingerprint: key.fingerprint, response: placed });
    return { result: placed, replayed: false };
  }
}

/** Takes the stock in the book, so that the next order of the batch is decided on what is left. */
function reserve(
  book: StockBook,
  lines: readonly OrderLine[],
  orderId: number,
  caller: Caller,
): StockChange[] {
  const cause = { orderId, reason: null, caller };
  return lines.map(({ product, quantity }) => book.reserve(product.id, quantity, cause));
}
