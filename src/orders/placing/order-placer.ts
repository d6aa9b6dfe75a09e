import { isLockTimeout, mayBeOneCalls, toAppError } from '../../db/pg-errors.ts';
import { inTransaction } from '../../db/transaction.ts';
import type { Db, Tx } from '../../db/types.ts';
import { keyInProgress, type Once } from '../../idempotency/run-once.tx.ts';
import { createBatcher } from '../../lib/batcher.ts';
import { AppError } from '../../lib/errors.ts';
import { runInHalves } from '../../lib/halving.ts';
import { observeBatches, type TrafficMetrics } from '../../lib/metrics.ts';
import type { OrderMetrics } from '../order.metrics.ts';
import type { RoomMaker } from '../expiry/expiry.service.ts';
import type { Order, OrderTerms } from '../order.ts';
import {
  type HeldStock,
  isHeld,
  type Placement,
  type PlacementResult,
  placeOrders,
} from './place-orders.tx.ts';

/*
 * Buyers who arrive while the database is busy share the next transaction: under load, one lock and one flush to disk
 * serve many orders.
 *
 * An order's fate is its own. When the database refuses a whole batch for a reason that lies in one of its orders, the
 * batch is tried again in halves until that one stands alone and its neighbours are placed.
 *
 * An order is not refused for stock that overdue orders hold. The transaction that places orders expires the overdue
 * ones that are free. Where others are locked, or there are too many, its result says so (`HeldStock`): then another
 * transaction expires them (`makeRoom`), and the order is placed again.
 */

/** Larger batches hold their locks longer than the flush that they save; measured best between 50 and 200. */
const MAX_BATCH = 100;
/** A fifth of a millisecond of answers, which is about what the next batch's lock takes. */
const ANSWERS_PER_TURN = 8;
/** One transaction is being answered while the next one is on its way, on the same connection. */
const LANES = 2;
/** Half a second of work at full speed. A call past that number is better retried than kept waiting. */
const MAX_QUEUE = 5000;
/** The deadline of requests (DEADLINE_MS): a caller that waited longer has been told to retry, and may do so without a key. */
const MAX_WAIT_MS = 8000;
/** How often room is made for one order; a refusal after that stands. */
const ROUNDS_MAX = 2;

export interface OrderPlacer {
  /** @throws AppError: the order's refusal, or service_unavailable */
  place(placement: Placement): Promise<Once<Order>>;
  /** Places what is queued, and refuses what comes after. */
  stop(): Promise<void>;
}

export interface OrderPlacerDependencies {
  lane: Db;
  /** Asked for the fate of a COMMIT that was lost with the lane. */
  reads: Db;
  room: RoomMaker;
  metrics: OrderMetrics & TrafficMetrics;
  terms: OrderTerms;
}

export function createOrderPlacer(dependencies: OrderPlacerDependencies): OrderPlacer {
  const { lane, reads, room, metrics, terms } = dependencies;
  const batcher = createBatcher<Placement, Once<Order> | HeldStock>({
    work: (draw) => placeDrawn(draw),
    maxBatch: MAX_BATCH,
    lanes: LANES,
    maxQueue: MAX_QUEUE,
    maxWaitMs: MAX_WAIT_MS,
    answersPerTurn: ANSWERS_PER_TURN,
    onBatch: observeBatches(metrics, 'orders'),
  });

  async function placeBatch(
    draw: () => readonly Placement[],
    skipLocked = false,
  ): Promise<PlacementResult[]> {
    const work = (tx: Tx) => placeOrders(tx, draw(), { terms, skipLocked });
    const { results, expired } = await inTransaction(lane, work, reads);
    if (expired > 0) metrics.ordersExpired.inc({ by: 'order' }, expired);
    return results;
  }

  async function placeDrawn(draw: () => readonly Placement[]): Promise<PlacementResult[]> {
    try {
      // Drawn when the transaction has its turn, so that a call that arrived while it waited is in it.
      return await placeBatch(draw);
    } catch (error) {
      // A database that is away would only be asked more often.
      if (!mayBeOneCalls(error)) throw error;
      // Another transaction kept a product's lock past lock_timeout. Refuse only the orders that need that product.
      const skipLocked = isLockTimeout(error);
      return runInHalves(draw(), {
        run: (part) => placeBatch(() => part, skipLocked),
        mayBeOneCalls,
        refusalOf,
      });
    }
  }

  return {
    async place(placement) {
      const since = performance.now();
      let result = await batcher.submit(placement, since);
      for (let round = 1, hasRoom = true; isHeld(result); round++) {
        // An overdue order that another transaction keeps locked for so long may yet be paid: its stock counts as taken.
        if (!hasRoom || round > ROUNDS_MAX) throw result.held;
        hasRoom = await room.makeRoom(result.held.productIds);
        result = await batcher.submit(placement, since);
      }
      return result;
    },
    async stop() {
      await Promise.all([batcher.stop(), room.stop()]);
    },
  };
}

function refusalOf({ key }: Placement, error: unknown): AppError {
  // With skipLocked, no product was waited for; what is left to wait for is another transaction with the same key.
  if (isLockTimeout(error) && key !== undefined) return keyInProgress(error);
  return toAppError(error) ?? new AppError('internal_error', 'The order cannot be stored', { cause: error });
}
