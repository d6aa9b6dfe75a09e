import type { Tx } from '../../db/types.ts';
import type { StockBook } from '../../inventory/stock-book.ts';
import { type LockedProduct, lockFreeStock } from '../../inventory/stock.repository.ts';
import { writeStock } from '../../inventory/write-stock.tx.ts';
import type { Caller } from '../../lib/caller.ts';
import {
  applyTransitions,
  moveStock,
  type PlannedTransition,
  planTransition,
  productsOf,
  type Transition,
  writeTransitions,
} from '../order-transition.tx.ts';
import type { LockedOrder, Order } from '../order.ts';
import * as overdue from './overdue.repository.ts';

/*
 * Unpaid orders do not hold stock for ever. An order that is not paid at its expires_at is overdue: from then on it can
 * only expire, which cancels it and releases its stock. A hold is the stock that an overdue order still reserves. Any
 * transaction that needs an overdue order expires it, together with its own work: the sweep, an order that needs the
 * stock, a late payment, or a request to move it. So correctness does not wait for the sweep; until it has run, lists show
 * the order as PENDING and its stock as reserved.
 *
 * Which function is for which transaction:
 *
 *   looks for     locked by another transaction    function           used by
 *   one order     waits (`lockOrders`)             expireIfOverdue    a change of its status
 *   orders        waits (`lockOrders`)             findExpiries       payments, which apply `expiryOf` with their own work
 *   any order     skips                            expireNext         the sweep
 *   products      waits                            expireHolds        a transaction that makes room for refused buyers
 *   products      skips                            releaseHolds       placing orders, which holds products already
 *
 * In the repository, `lock…` waits and `claim…` skips. `expireNext` and `expireHolds` wait for products, and with
 * `skip` for nothing: that is for the second try, after a lock timeout.
 */

/** As many as orders that are placed together: what the products' locks are held for stays short. */
export const EXPIRED_TOGETHER_MAX = 100;
/**
 * For buyers that were refused together. Two rounds of it, and the three tries to place that lie around them, take some
 * 1,000 overdue orders for one buyer (docs/inventory.md). The longest overdue come first, so none waits for ever.
 */
const ROOM_MAX = 400;

/** Whether a transaction waits for locks or leaves out what it cannot lock at once. */
export type LockWait = 'wait' | 'skip';

/** The expiry of an overdue order that this transaction has locked. */
export function expiryOf(order: LockedOrder, requestId: string | null = null): Transition {
  return { order, steps: ['expire'], cause: 'expired', caller: { actor: 'system', requestId } };
}

/** Expires a locked order if it is overdue. @returns the order as it is then, or undefined when it is not */
export async function expireIfOverdue(
  tx: Tx,
  order: LockedOrder,
  { requestId }: Caller,
): Promise<LockedOrder | undefined> {
  const expiries = await overdue.findExpiries(tx, [order]);
  if (expiries.get(order.id) !== 'overdue') return undefined;
  const [expired] = await applyTransitions(tx, [expiryOf(order, requestId)]);
  return expired;
}

/**
 * Expires the longest overdue orders that are free.
 * @returns how many it has found and how many of them it has expired
 */
export async function expireNext(tx: Tx, products: LockWait): Promise<{ found: number; expired: number }> {
  const orders = await overdue.claimOverdue(tx, EXPIRED_TOGETHER_MAX);
  const expired = products === 'wait' ? await expireAll(tx, orders) : await expireFree(tx, orders);
  return { found: orders.length, expired };
}

/**
 * Expires overdue orders that hold some of the products. For a transaction of its own, because it locks orders first.
 * @returns how many it has expired; `left` are the products of which there are more that could not be had without waiting
 */
export async function expireHolds(
  tx: Tx,
  productIds: readonly number[],
  locks: LockWait,
): Promise<{ expired: number; left: ReadonlySet<number> }> {
  if (locks === 'wait') {
    const orders = await overdue.lockHolds(tx, productIds, ROOM_MAX);
    return { expired: await expireAll(tx, orders), left: new Set() };
  }
  const released = await releaseHolds(tx, new Set(productIds), []);
  if (released === undefined) return { expired: 0, left: new Set() };
  await writeReleased(tx, released);
  return { expired: released.expiries.length, left: released.left };
}

/** Overdue orders that expire, and what they release. The same transaction writes both. */
export interface Released {
  expiries: PlannedTransition[];
  /** A new book of the locked products, in which the stock of those orders is released. */
  book: StockBook<LockedProduct>;
}

export interface ReleasedHolds extends Released {
  /** Products of which more may be overdue that could not be had without waiting. */
  left: ReadonlySet<number>;
}

/**
 * Finds overdue orders that hold some of the products which a transaction has locked, and releases what it can get of
 * them, in a new book.
 *
 * It holds products already, so it must not wait: neither for an order, because other transactions lock orders first and
 * then wait for these products, nor for the other products of a basket, because that would leave the order of ids. It
 * takes both only where they are free at this moment (SKIP LOCKED). A basket of which some product is not free stays as
 * it is, whole, and its products are returned as left. A transaction that never waits for a lock cannot deadlock,
 * whatever order it locks in.
 */
export async function releaseHolds(
  tx: Tx,
  short: ReadonlySet<number>,
  lockedIds: readonly number[],
): Promise<ReleasedHolds | undefined> {
  const { orders, productsLeft } = await overdue.claimHolds(tx, [...short], EXPIRED_TOGETHER_MAX);
  if (orders.length === 0 && productsLeft.size === 0) return undefined;
  const { left, ...released } = await releaseFree(tx, orders, lockedIds);
  for (const id of productsOf(left)) productsLeft.add(id);
  return { ...released, left: productsLeft };
}

async function expireAll(tx: Tx, orders: readonly LockedOrder[]): Promise<number> {
  await applyTransitions(
    tx,
    orders.map((order) => expiryOf(order)),
  );
  return orders.length;
}

async function expireFree(tx: Tx, orders: readonly LockedOrder[]): Promise<number> {
  const released = await releaseFree(tx, orders, []);
  await writeReleased(tx, released);
  return released.expiries.length;
}

/** Releases those of the orders whose products are all free, and waits for none. The others are left. */
async function releaseFree(
  tx: Tx,
  orders: readonly LockedOrder[],
  lockedIds: readonly number[],
): Promise<Released & { left: LockedOrder[] }> {
  const book = await lockFreeStock(tx, [...new Set([...lockedIds, ...productsOf(orders)])]);
  const isFree = ({ items }: Order) => items.every(({ product_id }) => book.has(product_id));
  const expiries = orders.filter(isFree).map((order) => planTransition(expiryOf(order)));
  moveStock(book, expiries);
  return { expiries, book, left: orders.filter((order) => !isFree(order)) };
}

async function writeReleased(tx: Tx, { expiries, book }: Released): Promise<void> {
  await writeStock(tx, book);
  await writeTransitions(tx, expiries);
}
