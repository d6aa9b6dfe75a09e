import type { Caller } from '../lib/caller.ts';

/**
 * Changes of stock, computed on locked rows and not yet written. Pure: each function takes the counters as they stand
 * and returns the movement that the ledger gets, with the counters after it.
 */
export type MovementKind = 'received' | 'adjusted' | 'reserved' | 'released' | 'shipped';

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
    caller,
  };
}
