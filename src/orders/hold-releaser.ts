import { isLockTimeout } from '../db/pg-errors.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db } from '../db/types.ts';
import { createBatcher } from '../lib/batcher.ts';
import { runInHalves } from '../lib/halving.ts';
import type { Metrics } from '../lib/metrics.ts';
import { InsufficientStock } from '../inventory/stock-change.ts';
import { expireOverdueHolds } from './expire-orders.ts';
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
  async function expireHolds(calls: readonly (readonly number[])[]): Promise<undefined[]> {
    const productIds = [...new Set(calls.flat())];
    const expired = await inTransaction(db, (tx) => expireOverdueHolds(tx, productIds));
    metrics.ordersExpired.inc({ by: 'order' }, expired);
    return calls.map(() => undefined);
  }

  // One lane: the second of two would only wait for the first one's locks.
  const batcher = createBatcher<readonly number[], undefined>({
    work: (draw) =>
      runInHalves<readonly number[], undefined | Error>(draw(), {
        run: expireHolds,
        // Only who needs what somebody holds for so long goes without.
        mayBeOneCalls: isLockTimeout,
        refusalOf: (_call, error) => error as Error,
      }),
    maxBatch: MAX_BATCH,
    lanes: 1,
    maxQueue: MAX_QUEUE,
  });

  return {
    async place(placement, since = performance.now()) {
      for (let round = 1; ; round++) {
        try {
          return await placer.place(placement, since);
        } catch (refusal) {
          const isHeld = refusal instanceof InsufficientStock && refusal.heldByOverdue;
          if (!isHeld || round > ROUNDS_MAX) throw refusal;
          try {
            await batcher.submit(refusal.productIds);
          } catch (error) {
            // Who holds the overdue order for so long may yet pay it: it is as good as taken.
            throw isLockTimeout(error) ? refusal : error;
          }
        }
      }
    },
    async stop() {
      await Promise.all([placer.stop(), batcher.stop()]);
    },
  };
}
