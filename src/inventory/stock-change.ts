import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';

/**
 * Changes of stock, computed on locked rows and not yet written. Pure: each function takes the counters as they stand
 * and returns the movement that the ledger gets, with the counters after it.
 */
export const movementKinds = ['received', 'adjusted', 'reserved', 'released', 'shipped'] as const;
export type MovementKind = (typeof movementKinds)[number];

export interface StockCounters {
  id: number;
  onHand: number;
  reserved: number;
}

export interface StockChange {
  productId: number;
  kind: MovementKind;
  /** The change of the counter that the kind names; of both counters for `shipped`. */
  delta: number;
  onHandAfter: number;
  reservedAfter: number;
  orderId: number | null;
  reason: string | null;
  note: string | null;
  caller: Caller;
}

/** What can be sold now. The lists compute the same in SQL (`product.repository.ts`). */
export function sellable({ onHand, reserved }: StockCounters): number {
  return onHand - reserved;
}

/** Applies what an order does to one product: takes it up (`reserved`), gives it back (`released`) or sends it. */
export function changeForOrder(
  counters: StockCounters,
  kind: 'reserved' | 'released' | 'shipped',
  quantity: number,
  orderId: number,
  caller: Caller,
): StockChange {
  const sign = kind === 'reserved' ? 1 : -1;
  return {
    productId: counters.id,
    kind,
    delta: sign * quantity,
    onHandAfter: kind === 'shipped' ? counters.onHand - quantity : counters.onHand,
    reservedAfter: counters.reserved + sign * quantity,
    orderId,
    reason: null,
    note: null,
    caller,
  };
}

/** Sets what can be sold to `stock`; undefined when it is that already, for then nothing moves. */
export function changeToStock(
  counters: StockCounters,
  stock: number,
  kind: 'received' | 'adjusted',
  reason: string,
  caller: Caller,
): StockChange | undefined {
  const delta = stock - sellable(counters);
  if (delta === 0) return undefined;
  return {
    productId: counters.id,
    kind,
    delta,
    onHandAfter: counters.onHand + delta,
    reservedAfter: counters.reserved,
    orderId: null,
    reason,
    note: null,
    caller,
  };
}

/** A change by hand. */
export interface Adjustment {
  /** Not 0. */
  delta: number;
  reason: string;
  note: string | null;
}

/** The reason that makes a positive change a delivery; every other change by hand is an adjustment. */
export const RECEIVED = 'received';

/** As many as can be asked for, or set, at once. */
export const STOCK_MAX = 1_000_000_000;

/**
 * Changes what can be sold by `delta`. What orders hold stays theirs.
 * @returns the refusal insufficient_stock or stock_out_of_range, if there is one
 */
export function changeByDelta(
  counters: StockCounters,
  { delta, reason, note }: Adjustment,
  caller: Caller,
): StockChange | AppError {
  const available = sellable(counters);
  if (available + delta < 0)
    return new InsufficientStock([{ product_id: counters.id, available, requested: -delta }]);
  if (delta > 0 && available + delta > STOCK_MAX) {
    const detail = `The stock would be ${available + delta}, and may be ${STOCK_MAX} at most`;
    return new AppError('stock_out_of_range', detail);
  }
  return {
    productId: counters.id,
    kind: delta > 0 && reason === RECEIVED ? 'received' : 'adjusted',
    delta,
    onHandAfter: counters.onHand + delta,
    reservedAfter: counters.reserved,
    orderId: null,
    reason,
    note,
    caller,
  };
}

interface Shortage {
  product_id: number;
  available: number;
  requested: number;
}

/** Products have less than is asked of them. Every shortage is named; the detail is that of the first. */
export class InsufficientStock extends AppError {
  readonly productIds: readonly number[];
  /** Overdue orders hold some of it, which could not be had without waiting (`expire-orders.ts`). */
  heldByOverdue = false;

  constructor(shortages: readonly [Shortage, ...Shortage[]]) {
    const [{ available, requested }] = shortages;
    const detail = `Insufficient stock. Available: ${available}, Requested: ${requested}`;
    super('insufficient_stock', detail, { fields: { shortages } });
    this.productIds = shortages.map(({ product_id }) => product_id);
  }
}
