import { executeLast } from '../db/pipeline.ts';
import type { Tx } from '../db/types.ts';
import { findKeys } from '../idempotency/idempotency.repository.ts';
import { type Once, replayOf } from '../idempotency/idempotency.service.ts';
import { type IdempotencyKey, keyId } from '../idempotency/key.ts';
import { changeForOrder, type StockChange } from '../inventory/stock-change.ts';
import { findStock } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError, unavailable } from '../lib/errors.ts';
import { centsToNumber } from '../lib/money.ts';
import { type AcceptedOrder, decideOrder, type OrderLine } from './decide-order.ts';
import { type NewOrder, type Order, type OrderPreview, soleItem } from './order.ts';
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
 *   two buyers of the last piece are decided one after the other, in whatever process they are.
 * - Orders are decided in the order of arrival, each on what the ones before it have left: all of its items or none.
 * - A refused order leaves no trace and harms no other; that includes its idempotency key, which can be tried again.
 * - Orders, items, stock, ledger, events and keys are written by one statement, and COMMIT goes right behind it.
 */

export interface Placement {
  order: NewOrder;
  caller: Caller;
  key: IdempotencyKey | undefined;
}

export type PlacementResult = Once<Order> | AppError;

/**
 * @param skipLocked decides only what can be locked at once, and refuses the rest as busy
 * @returns one result for each placement, in their order
 */
export async function placeOrders(
  tx: Tx,
  placements: readonly Placement[],
  skipLocked = false,
): Promise<PlacementResult[]> {
  const productIds = [
    ...new Set(placements.flatMap(({ order }) => order.items.map(({ productId }) => productId))),
  ];
  const locked = await lockForOrders(tx, productIds, placements.length, skipLocked);
  const busy = skipLocked ? await findBusy(tx, productIds, locked) : new Set<number>();
  const batch = new Batch(
    locked,
    busy,
    await findKeys(
      tx,
      placements.flatMap(({ key }) => key ?? []),
    ),
  );
  const results = placements.map((placement, index) => batch.decide(placement, index));
  if (batch.placed.length > 0) await executeLast(tx, writePlacedOrders(batch.placed, batch.changes));
  return results;
}

/** Products that are there but not locked: somebody else holds them. */
async function findBusy(tx: Tx, ids: readonly number[], { products }: LockedForOrders): Promise<Set<number>> {
  const missing = ids.filter((id) => !products.has(id));
  return new Set((await findStock(tx, missing)).keys());
}

/** A batch while it is decided: what its orders have taken so far, and what will be written. */
class Batch {
  readonly placed: PlacedOrder[] = [];
  readonly changes: StockChange[] = [];
  readonly #locked: LockedForOrders;
  readonly #busy: ReadonlySet<number>;
  /** Answers by key: those of earlier transactions, and those of this batch as it goes. */
  readonly #answers: Map<string, { fingerprint: Buffer; response: unknown }>;

  constructor(
    locked: LockedForOrders,
    busy: ReadonlySet<number>,
    answers: Map<string, { fingerprint: Buffer; response: unknown }>,
  ) {
    this.#locked = locked;
    this.#busy = busy;
    this.#answers = answers;
  }

  decide({ order, caller, key }: Placement, index: number): PlacementResult {
    const answer = key && this.#answers.get(keyId(key));
    if (key !== undefined && answer !== undefined) return replayOf<Order>(key, answer);
    if (order.items.some(({ productId }) => this.#busy.has(productId))) {
      return unavailable('The stock of a product is being changed, try again');
    }
    const decision = decideOrder(order, this.#locked.products);
    if (decision instanceof AppError) return decision;
    // One id was drawn for each placement.
    const id = this.#locked.orderIds[index] as number;
    const placed: Order = { id, ...previewOrder(order, decision, this.#locked.now) };
    this.#take(decision.lines, id, caller);
    this.placed.push({ order: placed, caller, key });
    if (key !== undefined) {
      this.#answers.set(keyId(key), { fingerprint: key.fingerprint, response: placed });
    }
    return { result: placed, replayed: false };
  }

  /** Takes the stock in memory, so that the next order of the batch is decided on what is left. */
  #take(lines: readonly OrderLine[], orderId: number, caller: Caller): void {
    for (const { product, quantity } of lines) {
      const change = changeForOrder(product, 'reserved', quantity, orderId, caller);
      product.reserved = change.reservedAfter;
      this.changes.push(change);
    }
  }
}

/** The order that a decision makes at a time, as callers will see it; nothing is written. */
export function previewOrder(
  order: NewOrder,
  { lines, totalCents }: AcceptedOrder,
  now: string,
): OrderPreview {
  const items = lines.map(({ product, quantity }) => ({
    product_id: product.id,
    sku: product.sku,
    quantity,
    unit_price: centsToNumber(product.priceCents),
  }));
  return {
    status: 'PENDING',
    items,
    total: centsToNumber(totalCents),
    customer_email: order.customerEmail,
    version: 1,
    expires_at: null,
    created_at: now,
    updated_at: now,
    ...soleItem(items),
  };
}
