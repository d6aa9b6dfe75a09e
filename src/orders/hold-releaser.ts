import { isLockTimeout } from '../db/pg-errors.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db } from '../db/types.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { Metrics } from '../lib/metrics.ts';
import { InsufficientStock } from '../inventory/stock-book.ts';
import { expireFreeHolds, expireOverdueHolds } from './expire-orders.ts';
import type { OrderPlacer } from './order-placer.ts';

/*
 * An order is never refused for stock that only overdue orders hold.
 *
 * The transaction that places orders takes what it finds overdue, but it must not wait: two that need the same overdue
 * basket, each holding another product of it, would refuse both buyers, and so would a sweep that is half done. Such a
 * refusal says so. Then the overdue orders are expired by a transaction of their own, which locks in the usual order and
 * so may wait, and the order is placed again.
 */

/** Products of orders that were refused together: more of them would only make one transaction longer. */
const MAX_BATCH = 100;
/** As many as orders may wait to be placed. */
const MAX_QUEUE = 5000;
/** Each round expires a hundred orders, or waits for somebody who does; what is refused after that stays refused. */
const ROUNDS_MAX = 10;

export function releaseHolds(
  placer: OrderPlacer,
  { db, metrics }: { db: Db; metrics: Metrics },
): OrderPlacer {
  async function expireHolds(calls: readonly (readonly number[])[]): Promise<(undefined | Error)[]> {
    const productIds = [...new Set(calls.flat())];
    try {
      const expired = await inTransaction(db, (tx) => expireOverdueHolds(tx, productIds));
      metrics.ordersExpired.inc({ by: 'order' }, expired);
      return calls.map(() => undefined);
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      // Somebody holds one of them, or a product of one, for longer than that: only who needs that one goes without.
      const { expired, productsLeft } = await inTransaction(db, (tx) => expireFreeHolds(tx, productIds));
      metrics.ordersExpired.inc({ by: 'order' }, expired);
      // A lock timeout is an error of pg's.
      const refusal = error as Error;
      return calls.map((ids) => (ids.some((id) => productsLeft.has(id)) ? refusal : undefined));
    }
  }

  // One lane: the second of two would only wait for the first one's locks.
  const batcher = createBatcher<readonly number[], undefined>({
    work: (draw) => expireHolds(draw()),
    maxBatch: MAX_BATCH,
    lanes: 1,
    maxQueue: MAX_QUEUE,
  });

  return {
    async place(placement) {
      const since = performance.now();
      let heldForLong = false;
      for (let round = 1; ; round++) {
        try {
          return await placer.place(placement, since);
        } catch (refusal) {
          const isHeld = refusal instanceof InsufficientStock && refusal.heldByOverdue;
          if (!isHeld || heldForLong || round > ROUNDS_MAX) throw refusal;
          try {
            await batcher.submit(refusal.productIds);
          } catch (error) {
            if (!isLockTimeout(error)) throw error;
            // Who holds an overdue order for so long may yet pay it: it is as good as taken. What else has been
            // released meanwhile may do.
            heldForLong = true;
          }
        }
      }
    },
    async stop() {
      await Promise.all([placer.stop(), batcher.stop()]);
    },
  };
}
