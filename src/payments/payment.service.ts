import { isLockTimeout, mayBeOneCalls, toAppError } from '../db/pg-errors.ts';
import { inTransaction, limitLockWait } from '../db/transaction.ts';
import type { Db } from '../db/types.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { runInHalves } from '../lib/halving.ts';
import { observeBatches, type TrafficMetrics } from '../lib/metrics.ts';
import type { OrderMetrics } from '../orders/order.metrics.ts';
import type { PaymentMetrics } from './payment.metrics.ts';
import {
  type ApplyResult,
  applyPayments,
  type PaymentTerms,
  type ReceivedEvent,
  repeatPayment,
} from './apply-payments.tx.ts';
import type { PaymentEvent, PaymentResult } from './payment-event.ts';
import { findOrderOfPayment } from './payment-ledger.repository.ts';

/** Each group of a batch takes about ten statements, whatever its size; more calls would wait longer for theirs. */
const MAX_BATCH = 50;
/** Different orders hardly ever meet, so two transactions may well work side by side. */
const LANES = 2;
/** A few seconds of work. Past it, providers try again by themselves. */
const MAX_QUEUE = 2000;

/** After a batch has waited in vain once, its events wait no longer than this for their locks, each by itself. */
const SHORT_WAIT_MS = 50;

export type PaymentService = ReturnType<typeof createPaymentService>;

export function createPaymentService({
  db,
  metrics,
  terms,
}: {
  db: Db;
  terms: PaymentTerms;
  metrics: OrderMetrics & PaymentMetrics & TrafficMetrics;
}) {
  const batcher = createBatcher<ReceivedEvent, Exclude<ApplyResult, AppError>>({
    work: (draw) => applyDrawn({ db, terms }, draw()),
    maxBatch: MAX_BATCH,
    lanes: LANES,
    maxQueue: MAX_QUEUE,
    onBatch: observeBatches(metrics, 'payment_events'),
  });

  /** A payment that its provider names belongs to the order that it was first for, whatever else an event says. */
  async function named(event: PaymentEvent): Promise<PaymentEvent> {
    if (event.figure === undefined) return event;
    const { paymentId } = event.figure;
    return { ...event, orderId: (await findOrderOfPayment(db, event.provider, paymentId)) ?? event.orderId };
  }

  return {
    /** @throws AppError order_not_found: nothing is stored, the provider may try again */
    async apply(event: PaymentEvent, caller: Caller): Promise<PaymentResult> {
      const { expired, movedTo, ...result } = await batcher.submit({ event: await named(event), caller });
      if (expired) metrics.ordersExpired.inc({ by: 'payment' });
      metrics.paymentEvents.inc({ outcome: result.status });
      if (movedTo !== undefined) metrics.orderTransitions.inc({ to: movedTo });
      if (result.status === 'review') metrics.paymentExceptions.inc({ reason: result.reason });
      return result;
    },

    /** Counts one more inbound delivery of a known event, of which nothing else need be readable; undefined for any other. */
    async repeat(of: { identity: string; eventType: string | null }): Promise<PaymentResult | undefined> {
      const known = await inTransaction(db, (tx) => repeatPayment(tx, of));
      if (known !== undefined) metrics.paymentEvents.inc({ outcome: known.status });
      return known;
    },

    /** Applies what is queued, and takes nothing after it. */
    stop: () => batcher.stop(),
  };
}

interface Applying {
  db: Db;
  terms: PaymentTerms;
}

/** Events of one order are applied one after the other, in the order of their arrival; others share a transaction. */
async function applyDrawn(applying: Applying, received: readonly ReceivedEvent[]): Promise<ApplyResult[]> {
  const results = new Map<ReceivedEvent, ApplyResult>();
  const batch = { waitedInVain: false };
  for (const group of groupByTurn(received)) {
    const answers = await runInHalves(group, {
      run: (part) => applyGroup(applying, part, batch),
      mayBeOneCalls,
      refusalOf: (_delivery, error) => refusalOf(error),
    });
    for (const [index, answer] of answers.entries()) results.set(group[index] as ReceivedEvent, answer);
  }
  // Each event is in exactly one group.
  return received.map((one) => results.get(one) as ApplyResult);
}

async function applyGroup(
  applying: Applying,
  group: readonly ReceivedEvent[],
  batch: { waitedInVain: boolean },
): Promise<ApplyResult[]> {
  const { db, terms } = applying;
  if (!batch.waitedInVain) {
    try {
      return await inTransaction(db, (tx) => applyPayments(tx, group, terms));
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      // Another transaction keeps one of the orders, or a product of it, past lock_timeout. One by one, only
      // the events that need it suffer, and none of the batch waits past its deadline.
      batch.waitedInVain = true;
    }
  }
  const results: ApplyResult[] = [];
  for (const one of group) results.push(await applyAlone(applying, one));
  return results;
}

async function applyAlone({ db, terms }: Applying, one: ReceivedEvent): Promise<ApplyResult> {
  try {
    const [result] = await inTransaction(db, async (tx) => {
      await limitLockWait(tx, SHORT_WAIT_MS);
      return applyPayments(tx, [one], terms);
    });
    // One for one.
    return result as ApplyResult;
  } catch (error) {
    if (!mayBeOneCalls(error)) throw error;
    return refusalOf(error);
  }
}

/** The first event of each order, then the second of each, and so on; repeats go with the first. */
function groupByTurn(received: readonly ReceivedEvent[]): ReceivedEvent[][] {
  const groups: ReceivedEvent[][] = [];
  const turns = new Map<number | null, { turn: number; identity: string }>();
  for (const one of received) {
    const { orderId, identity } = one.event;
    const before = turns.get(orderId);
    const first = before === undefined || orderId === null;
    const turn = first ? 0 : before.turn + (before.identity === identity ? 0 : 1);
    turns.set(orderId, { turn, identity });
    (groups[turn] ??= []).push(one);
  }
  return groups;
}

function refusalOf(error: unknown): AppError {
  return toAppError(error) ?? new AppError('internal_error', 'The event cannot be stored', { cause: error });
}
