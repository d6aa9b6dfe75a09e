import { isLockTimeout, mayBeOneCalls, toAppError } from '../db/pg-errors.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { AppError } from '../lib/errors.ts';
import { createBatcher } from '../lib/batcher.ts';
import { keyInProgress, type Once } from '../idempotency/idempotency.service.ts';
import { runInHalves } from '../lib/halving.ts';
import { type Metrics, observeBatches } from '../lib/metrics.ts';
import type { Order } from './order.ts';
import { type Placement, type PlacementResult, placeOrders } from './place-orders.ts';

/*
 * Buyers who arrive while the database is busy share the next transaction: under load, one lock and one flush to disk
 * serve many orders.
 *
 * An order's fate is its own. When the database refuses a whole batch for a reason that lies in one of its orders, the
 * batch is tried again in halves until that one stands alone and its neighbours are placed.
 */

/** Larger batches hold their locks longer than the flush that they save; measured best between 50 and 200. */
const MAX_BATCH = 100;
/** A fifth of a millisecond of answers, which is about what the next batch's lock takes. */
const ANSWERS_PER_TURN = 8;
/** One transaction is being answered while the next one is on its way, on the same connection. */
const LANES = 2;
/** Half a second of work at full speed. Who comes after that is better off trying again than waiting. */
const MAX_QUEUE = 5000;
/** The deadline of requests (app.ts): who has waited for longer was told to try again, perhaps without a key. */
const MAX_WAIT_MS = 8000;

export interface OrderPlacer {
  /**
   * @param since when its caller began to wait, in the milliseconds of `performance`; now, unless it is placed again
   * @throws AppError: the order's refusal, or service_unavailable
   */
  place(placement: Placement, since?: number): Promise<Once<Order>>;
  /** Places what is queued, and refuses what comes after. */
  stop(): Promise<void>;
}

/** @param dependencies `reads` is asked what became of a COMMIT that was lost with the lane */
export function createOrderPlacer({
  lane,
  reads,
  metrics,
  ttlMinutes,
}: {
  lane: Db;
  reads: Db;
  metrics: Metrics;
  ttlMinutes: number;
}): OrderPlacer {
  const batcher = createBatcher<Placement, Once<Order>>({
    work: (draw) => placeDrawn(draw),
    maxBatch: MAX_BATCH,
    lanes: LANES,
    maxQueue: MAX_QUEUE,
    maxWaitMs: MAX_WAIT_MS,
    answersPerTurn: ANSWERS_PER_TURN,
    onBatch: observeBatches(metrics, 'orders'),
  });

  async function place(draw: () => readonly Placement[], skipLocked = false): Promise<PlacementResult[]> {
    const work = (tx: Tx) => placeOrders(tx, draw(), { ttlMinutes, skipLocked });
    const { results, expired } = await inTransaction(lane, work, reads);
    if (expired > 0) metrics.ordersExpired.inc({ by: 'order' }, expired);
    return results;
  }

  async function placeDrawn(draw: () => readonly Placement[]): Promise<PlacementResult[]> {
    try {
      // Drawn when the transaction has its turn, so that whoever arrived while it waited is in it.
      return await place(draw);
    } catch (error) {
      // A database that is away would only be asked more often.
      if (!mayBeOneCalls(error)) throw error;
      // Somebody holds a product for longer than a batch may wait: only the orders of that product shall suffer.
      const skipLocked = isLockTimeout(error);
      return runInHalves(draw(), {
        run: (part) => place(() => part, skipLocked),
        mayBeOneCalls,
        refusalOf,
      });
    }
  }

  return { place: (placement, since) => batcher.submit(placement, since), stop: () => batcher.stop() };
}

function refusalOf({ key }: Placement, error: unknown): AppError {
  // With skipLocked, no product was waited for; what is left to wait for is another transaction with the same key.
  if (isLockTimeout(error) && key !== undefined) return keyInProgress(error);
  return toAppError(error) ?? new AppError('internal_error', 'The order cannot be stored', { cause: error });
}
