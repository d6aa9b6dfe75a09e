import { isLockTimeout } from '../db/pg-errors.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import type { StockBook } from '../inventory/stock-book.ts';
import { type LockedProduct, lockFreeStock, writeStock } from '../inventory/stock.repository.ts';
import type { Caller } from '../lib/caller.ts';
import type { Metrics } from '../lib/metrics.ts';
import {
  claimOverdue,
  claimOverdueHolds,
  findExpiries,
  findLongestOverdue,
  lockOverdueHolds,
} from './expire-orders.repository.ts';
import {
  applyTransitions,
  moveStock,
  type PlannedTransition,
  planTransition,
  type Transition,
  writeTransitions,
} from './order-transition.ts';
import type { Order } from './order.ts';

/*
 * Unpaid orders do not hold stock for ever. An order that is not paid at its expires_at is overdue: from then on it can
 * only expire, which cancels it and releases its stock. Whoever comes first makes it so, in one transaction with what it
 * came for: the sweep, an order that needs the stock, a payment that comes too late, or a caller who wants to move it.
 * So nothing waits for the sweep but what is shown meanwhile: the order as PENDING, its stock as reserved.
 */

/** As many as orders that are placed together: what the products' locks are held for stays short. */
const SWEEP_BATCH = 100;
/** A run ends within about a second; what is left is for the next one, and stopping waits for no more than this. */
const SWEEP_BATCHES_MAX = 20;
/** For one batch of buyers. More is found by the next; oldest first, so none waits for ever. */
const HOLDS_MAX = 100;

/** The expiry of an overdue order that this transaction has locked. */
export function expiryOf(order: Order, requestId: string | null = null): Transition {
  return { order, steps: ['expire'], cause: 'expired', caller: { actor: 'system', requestId } };
}

/** `findExpiries` of locked orders: of those that can expire at all, which without a time limit are none. */
export async function findExpiriesOf(tx: Tx, orders: readonly Order[]): ReturnType<typeof findExpiries> {
  const candidates = orders.filter(
    (o) => o.expires_at !== null && ['PENDING', 'CANCELED'].includes(o.status),
  );
  if (candidates.length === 0) return new Map();
  return findExpiries(
    tx,
    candidates.map(({ id }) => id),
  );
}

/** Expires a locked order if it is overdue. @returns the order as it is then, or nothing */
export async function expireOverdue(tx: Tx, order: Order, { requestId }: Caller): Promise<Order[]> {
  const expiries = await findExpiriesOf(tx, [order]);
  return expiries.get(order.id) === 'overdue' ? applyTransitions(tx, [expiryOf(order, requestId)]) : [];
}

/**
 * Expires overdue orders, in bounded batches that are a transaction each; any number of instances may do so at once.
 * Where nothing is overdue, this is one read.
 * @returns how many orders it has expired
 */
export async function sweepOverdueOrders(db: Db, metrics: Metrics): Promise<number> {
  const longestOverdue = await findLongestOverdue(db);
  metrics.ordersOverdue.set(longestOverdue ?? 0);
  if (longestOverdue === undefined) return 0;
  let swept = 0;
  for (let batch = 0; batch < SWEEP_BATCHES_MAX; batch++) {
    const { claimed, expired } = await sweepBatch(db);
    metrics.ordersExpired.inc({ by: 'sweep' }, expired);
    swept += expired;
    if (expired === 0 || claimed < SWEEP_BATCH) break;
  }
  return swept;
}

async function sweepBatch(db: Db): Promise<{ claimed: number; expired: number }> {
  try {
    return await inTransaction(db, async (tx) => {
      // Orders first, then their products, as everywhere: so it may wait for a product.
      const orders = await claimOverdue(tx, SWEEP_BATCH);
      await expireAll(tx, orders);
      return { claimed: orders.length, expired: orders.length };
    });
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    // Somebody holds a product for longer than that: only the orders that hold some of it are left for later.
    return inTransaction(db, async (tx) => {
      const claimed = await claimOverdue(tx, SWEEP_BATCH);
      const free = await lockFreeStock(tx, productsOf(claimed));
      const orders = claimed.filter((order) => holdsOnly(order, free));
      await expireAll(tx, orders);
      return { claimed: claimed.length, expired: orders.length };
    });
  }
}

function expireAll(tx: Tx, orders: readonly Order[]): Promise<Order[]> {
  return applyTransitions(
    tx,
    orders.map((order) => expiryOf(order)),
  );
}

function productsOf(orders: readonly Order[]): number[] {
  return [...new Set(orders.flatMap(({ items }) => items.map(({ product_id }) => product_id)))];
}

function holdsOnly({ items }: Order, book: StockBook): boolean {
  return items.every(({ product_id }) => book.has(product_id));
}

export interface ReleasedHolds {
  /** To be written by the same transaction (`writeTransitions`). */
  expiries: PlannedTransition[];
  /** A new book of the locked products, in which the stock of those orders is released. */
  book: StockBook<LockedProduct>;
  /** Products of which more may be overdue, that could not be had without waiting. */
  productsLeft: Set<number>;
}

/**
 * Finds overdue orders that hold some of the products which a transaction has locked, and takes what it can get of them.
 *
 * It holds products already, so it must not wait for anybody: neither for an order, because others lock orders first and
 * then wait for these products, nor for the other products of a basket, because that would leave the order of ids. Both
 * are taken only where they are free at this moment (SKIP LOCKED). A basket of which some product is not free stays as
 * it is, whole, and is named as left. Who never waits closes no circle, in whatever order it takes its locks.
 */
export async function releaseOverdueHolds(
  tx: Tx,
  short: ReadonlySet<number>,
  lockedIds: readonly number[],
): Promise<ReleasedHolds | undefined> {
  const claimed = await claimOverdueHolds(tx, [...short], HOLDS_MAX);
  const { productsLeft } = claimed;
  if (claimed.orders.length === 0 && productsLeft.size === 0) return undefined;
  const book = await lockFreeStock(tx, [...new Set([...lockedIds, ...productsOf(claimed.orders)])]);
  const orders = claimed.orders.filter((order) => holdsOnly(order, book));
  const expiries = orders.map((order) => planTransition(expiryOf(order)));
  moveStock(book, expiries);
  for (const id of productsOf(claimed.orders.filter((order) => !orders.includes(order))))
    productsLeft.add(id);
  return { expiries, book, productsLeft };
}

/**
 * Expires the overdue orders that hold some of the products, and waits for those that somebody else is about to expire
 * or to pay. For a transaction of its own: it locks orders first.
 * @returns how many it has expired
 */
export async function expireOverdueHolds(tx: Tx, productIds: readonly number[]): Promise<number> {
  const orders = await lockOverdueHolds(tx, productIds, HOLDS_MAX);
  await expireAll(tx, orders);
  return orders.length;
}

/**
 * The same, of those that are free at this moment: it waits for nobody.
 * @returns how many it has expired, and the products of those that are left
 */
export async function expireFreeHolds(
  tx: Tx,
  productIds: readonly number[],
): Promise<{ expired: number; productsLeft: ReadonlySet<number> }> {
  const released = await releaseOverdueHolds(tx, new Set(productIds), []);
  if (released === undefined) return { expired: 0, productsLeft: new Set() };
  const { expiries, book, productsLeft } = released;
  await writeStock(tx, book);
  await writeTransitions(tx, expiries);
  return { expired: expiries.length, productsLeft };
}
