import { isLockTimeout } from '../../db/pg-errors.ts';
import { inTransaction } from '../../db/transaction.ts';
import type { Db, Tx } from '../../db/types.ts';
import { createBatcher } from '../../lib/batcher.ts';
import type { OrderMetrics } from '../order.metrics.ts';
import { EXPIRED_TOGETHER_MAX, expireHolds, expireNext, type LockWait } from './expire-orders.tx.ts';
import { findLongestOverdue } from './overdue.repository.ts';

/** A run ends within about a second; the next one continues, and stopping waits for no more than this. */
const SWEEP_BATCHES_MAX = 20;
/** Products of orders that were refused together: more of them would only make one transaction longer. */
const ROOM_BATCH_MAX = 100;
/** As many as orders may wait to be placed. */
const ROOM_QUEUE_MAX = 5000;

/**
 * Expires overdue orders, in bounded batches that are a transaction each; any number of instances may do so at once.
 * Where nothing is overdue, this is one read.
 * @returns how many orders it has expired
 */
export async function sweepOverdueOrders(db: Db, metrics: OrderMetrics): Promise<number> {
  const longestOverdue = await findLongestOverdue(db);
  metrics.ordersOverdue.set(longestOverdue ?? 0);
  if (longestOverdue === undefined) return 0;
  let swept = 0;
  for (let batch = 0; batch < SWEEP_BATCHES_MAX; batch++) {
    // Orders first, then their products, as everywhere: so it may wait for a product.
    const { found, expired } = await waitOrSkip(db, expireNext);
    metrics.ordersExpired.inc({ by: 'sweep' }, expired);
    swept += expired;
    if (expired === 0 || found < EXPIRED_TOGETHER_MAX) break;
  }
  return swept;
}

/** Expires overdue orders for buyers who were refused because of them. */
export interface RoomMaker {
  /**
   * Expires overdue orders that hold some of the products, and waits for their locks.
   * @returns false when another transaction keeps a lock on one of them for longer than lock_timeout
   */
  makeRoom(productIds: readonly number[]): Promise<boolean>;
  stop(): Promise<void>;
}

/**
 * The transaction that places orders expires overdue ones that are free, but it must not wait: two that need the same
 * overdue basket, each holding another product of it, would refuse both buyers, and so would a sweep that is half done.
 * Here, a transaction of its own locks in the usual order, orders before products, and so may wait.
 */
export function createRoomMaker({ db, metrics }: { db: Db; metrics: OrderMetrics }): RoomMaker {
  async function makeRoomFor(calls: readonly (readonly number[])[]): Promise<boolean[]> {
    const productIds = [...new Set(calls.flat())];
    const { expired, left } = await waitOrSkip(db, (tx, locks) => expireHolds(tx, productIds, locks));
    metrics.ordersExpired.inc({ by: 'order' }, expired);
    return calls.map((ids) => !ids.some((id) => left.has(id)));
  }

  // One lane: the second of two would only wait for the first one's locks.
  const batcher = createBatcher<readonly number[], boolean>({
    work: (draw) => makeRoomFor(draw()),
    maxBatch: ROOM_BATCH_MAX,
    lanes: 1,
    maxQueue: ROOM_QUEUE_MAX,
  });
  return { makeRoom: (productIds) => batcher.submit(productIds), stop: () => batcher.stop() };
}

/** After a lock timeout, another transaction leaves out what is locked, so that only those orders have to wait. */
async function waitOrSkip<T>(db: Db, work: (tx: Tx, locks: LockWait) => Promise<T>): Promise<T> {
  try {
    return await inTransaction(db, (tx) => work(tx, 'wait'));
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    return inTransaction(db, (tx) => work(tx, 'skip'));
  }
}
