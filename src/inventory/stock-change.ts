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

/** A change by hand. `received` only ever adds (`stock_movements_delta_sign`). */
export interface Adjustment {
  /** Not 0. */
  delta: number;
  kind: 'received' | 'adjusted';
  reason: string;
  note: string | null;
}

/**
 * The most of one product that may be on hand (`products_on_hand_range`). Nothing reserved and nothing that can be sold
 * is ever more than that, so canceling cannot lead past it: what an order gives back was counted all the time.
 */
export const STOCK_MAX = 1_000_000_000;

/**
 * Sets what can be sold to `stock`; undefined when it is that already, for then nothing moves.
 * @returns the refusal stock_out_of_range, if there is one
 */
export function changeToStock(
  counters: StockCounters,
  stock: number,
  { kind, reason }: Pick<Adjustment, 'kind' | 'reason'>,
  caller: Caller,
): StockChange | AppError | undefined {
  const delta = stock - sellable(counters);
  return delta === 0 ? undefined : changeByDelta(counters, { kind, delta, reason, note: null }, caller);
}

/**
 * Changes what can be sold by `delta`. What orders hold stays theirs.
 * @returns the refusal insufficient_stock or stock_out_of_range, if there is one
 */
export function changeByDelta(
  counters: StockCounters,
  { delta, kind, reason, note }: Adjustment,
  caller: Caller,
): StockChange | AppError {
  const available = sellable(counters);
  if (available + delta < 0)
    return new InsufficientStock([{ product_id: counters.id, available, requested: -delta }]);
  const onHandAfter = counters.onHand + delta;
  if (onHandAfter > STOCK_MAX) {
    const held = counters.reserved === 0 ? '' : `, of which orders hold ${counters.reserved}`;
    const detail = `${onHandAfter} would be on hand${held}; ${STOCK_MAX} may be at most`;
    return new AppError('stock_out_of_range', detail);
  }
  return {
    productId: counters.id,
    kind,
    delta,
    onHandAfter,
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
