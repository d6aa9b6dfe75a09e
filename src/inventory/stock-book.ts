import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';

/*
 * The stock book of one transaction. Pure.
 *
 * - This is the only place that changes counters in memory. Everywhere else they are `readonly`, so that a change that
 *   has no movement does not compile.
 * - A transaction opens a book on the rows that it has locked (`lockStock` in stock.repository.ts), changes stock through
 *   its methods, each of which adds one movement, and writes the book once. So a product's row is updated and its
 *   version raised once a transaction, however many movements it gets.
 * - Each change sees what the changes before it have left.
 * - A book that is not written has changed nothing. To decide again, a transaction opens a new book on the locked rows.
 */
export const movementKinds = ['received', 'adjusted', 'reserved', 'released', 'shipped'] as const;
export type MovementKind = (typeof movementKinds)[number];

export interface StockCounters {
  readonly id: number;
  readonly onHand: number;
  readonly reserved: number;
}

/** What the events of a product's stock need to know of it. */
export interface StockedProduct extends StockCounters {
  readonly sku: string;
  /** As the transaction found it. */
  readonly version: number;
  readonly lowStockThreshold: number | null;
}

/** A movement that is not written yet, and the counters after it. */
export interface StockChange {
  readonly productId: number;
  readonly kind: MovementKind;
  /** The change of the counter that the kind names; of both counters for `shipped`. */
  readonly delta: number;
  readonly onHandAfter: number;
  readonly reservedAfter: number;
  readonly orderId: number | null;
  readonly reason: string | null;
  readonly note: string | null;
  readonly caller: Caller;
}

/** A change of stock by an order. */
export interface OrderCause {
  orderId: number;
  reason: string | null;
  caller: Caller;
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
 * The most of one product that may be on hand (`products_on_hand_range`). Neither `reserved` nor `stock` can exceed it,
 * and canceling cannot lead past it, because what an order releases was on hand all the time.
 */
export const STOCK_MAX = 1_000_000_000;

/** What can be sold now. The lists compute the same in SQL (`product.repository.ts`). */
export function sellable({ onHand, reserved }: StockCounters): number {
  return onHand - reserved;
}

export class StockBook<P extends StockCounters = StockCounters> {
  readonly #products: ReadonlyMap<number, P>;
  readonly #changes: StockChange[] = [];
  /** What could be sold of each product that has changed, before its first change. */
  readonly #sellableBefore = new Map<number, number>();

  /** @param products the rows under this transaction's lock; they belong to the book from now on */
  constructor(products: ReadonlyMap<number, P>) {
    this.#products = products;
  }

  /** The product as it stands now. Products that the transaction could not lock are missing. */
  get(id: number): P | undefined {
    return this.#products.get(id);
  }

  has(id: number): boolean {
    return this.#products.has(id);
  }

  ids(): number[] {
    return [...this.#products.keys()];
  }

  /** Every change so far, in the order in which the ledger gets them. */
  get changes(): readonly StockChange[] {
    return this.#changes;
  }

  /** The counters of the products that have changed, as they are to be stored. */
  changedCounters(): P[] {
    const ids = new Set(this.#changes.map(({ productId }) => productId));
    return [...ids].map((id) => this.#product(id));
  }

  /** The products that have changed, with what could be sold of each before. */
  *moved(): Generator<{ product: P; before: number }> {
    for (const [id, before] of this.#sellableBefore) yield { product: this.#product(id), before };
  }

  /** On whose behalf a product was changed last. */
  lastCaller(id: number): Caller {
    const change = this.#changes.findLast(({ productId }) => productId === id);
    if (change === undefined) throw new Error(`product ${id} has not changed`);
    return change.caller;
  }

  /** Takes stock for an order that was found to fit (`decide-order.ts`). */
  reserve(id: number, quantity: number, cause: OrderCause): StockChange {
    return this.#changeForOrder('reserved', id, 0, quantity, cause);
  }

  /** Gives back what an order has reserved. */
  release(id: number, quantity: number, cause: OrderCause): StockChange {
    return this.#changeForOrder('released', id, 0, -quantity, cause);
  }

  /** Sends what an order has reserved. */
  ship(id: number, quantity: number, cause: OrderCause): StockChange {
    return this.#changeForOrder('shipped', id, -quantity, -quantity, cause);
  }

  /**
   * Changes what can be sold by `delta`. What orders have reserved stays theirs.
   * @returns the refusal insufficient_stock or stock_out_of_range, if there is one; then nothing has changed
   */
  adjust(id: number, { delta, kind, reason, note }: Adjustment, caller: Caller): StockChange | AppError {
    const product = this.#product(id);
    const available = sellable(product);
    if (available + delta < 0) {
      return new InsufficientStock([{ product_id: id, available, requested: -delta }]);
    }
    const onHand = product.onHand + delta;
    if (onHand > STOCK_MAX) return outOfRange(onHand, product.reserved);
    return this.#record(product, onHand, product.reserved, {
      productId: id,
      kind,
      delta,
      onHandAfter: onHand,
      reservedAfter: product.reserved,
      orderId: null,
      reason,
      note,
      caller,
    });
  }

  /**
   * Sets what can be sold to `stock`; undefined when it is that already, because then nothing moves.
   * @returns the refusal stock_out_of_range, if there is one; then nothing has changed
   */
  setSellable(
    id: number,
    stock: number,
    { kind, reason }: Pick<Adjustment, 'kind' | 'reason'>,
    caller: Caller,
  ): StockChange | AppError | undefined {
    const delta = stock - sellable(this.#product(id));
    return delta === 0 ? undefined : this.adjust(id, { kind, delta, reason, note: null }, caller);
  }

  #changeForOrder(
    kind: 'reserved' | 'released' | 'shipped',
    id: number,
    onHandDelta: number,
    reservedDelta: number,
    { orderId, reason, caller }: OrderCause,
  ): StockChange {
    const product = this.#product(id);
    const onHand = product.onHand + onHandDelta;
    const reserved = product.reserved + reservedDelta;
    return this.#record(product, onHand, reserved, {
      productId: id,
      kind,
      // Shipping changes both counters by the same.
      delta: reservedDelta,
      onHandAfter: onHand,
      reservedAfter: reserved,
      orderId,
      reason,
      note: null,
      caller,
    });
  }

  #record(product: P, onHand: number, reserved: number, change: StockChange): StockChange {
    if (!this.#sellableBefore.has(product.id)) this.#sellableBefore.set(product.id, sellable(product));
    // The rows are the book's own, and it alone may write what is readonly to all others.
    const counters = product as { onHand: number; reserved: number };
    counters.onHand = onHand;
    counters.reserved = reserved;
    this.#changes.push(change);
    return change;
  }

  #product(id: number): P {
    const product = this.#products.get(id);
    // A caller only moves what it has found in the book, and a product that an order names is never deleted.
    if (product === undefined) throw new Error(`product ${id} is not in the stock book`);
    return product;
  }
}

/** A book of one product. */
export function bookOf<P extends StockCounters>(product: P): StockBook<P> {
  return new StockBook(new Map([[product.id, product]]));
}

function outOfRange(onHand: number, reserved: number): AppError {
  const held = reserved === 0 ? '' : `, of which orders hold ${reserved}`;
  const detail = `${onHand} would be on hand${held}; ${STOCK_MAX} may be at most`;
  return new AppError('stock_out_of_range', detail);
}

interface Shortage {
  product_id: number;
  available: number;
  requested: number;
}

/** Products have less than is asked of them. Every shortage is listed; the detail is that of the first. */
export class InsufficientStock extends AppError {
  readonly productIds: readonly number[];

  constructor(shortages: readonly [Shortage, ...Shortage[]]) {
    const [{ available, requested }] = shortages;
    const detail = `Insufficient stock. Available: ${available}, Requested: ${requested}`;
    super('insufficient_stock', detail, { fields: { shortages } });
    this.productIds = shortages.map(({ product_id }) => product_id);
  }
}
