import type { Tx } from '../db/types.ts';
import { newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { toCents } from '../lib/money.ts';
import { expiryOf } from '../orders/expiry/expire-orders.tx.ts';
import { findExpiries } from '../orders/expiry/overdue.repository.ts';
import { lockOrders } from '../orders/order.repository.ts';
import { applyTransitions } from '../orders/order-transition.tx.ts';
import type { OrderStatus } from '../orders/order-state.ts';
import type { Order } from '../orders/order.ts';
import { settleKeptRefunds, takeKeptRefunds } from './kept-refunds.tx.ts';
import type { PaymentEvent, PaymentResult } from './payment-event.ts';
import { insertPaymentExceptions, type KeptRefund } from './payment-exception.repository.ts';
import { reviewRequired } from './payment.events.ts';
import {
  acceptFailedEvents,
  countRepeats,
  insertPaymentEvents,
  type KnownPaymentEvent,
  lockKnown,
} from './payment.repository.ts';
import { decidePayment, isPaymentEventType, type PaymentDecision, reviewReasons } from './payment-rules.ts';

/*
 * Applying payment events exactly once, any number of them in one transaction, at most one for each order.
 *
 * - The orders are locked first, so that events and requests about one order are decided one after the other.
 * - The insert of the events' identities is the gate: it comes before every effect and in the same transaction, so
 *   after a crash there are both or neither.
 * - An event for an unknown order leaves nothing behind, so that the provider can send it again.
 * - An order that is overdue by now expires first, in the same transaction, whether or not the sweep has come by.
 * - Money that buys nothing is never dropped: it becomes a payment exception, told by an event.
 */
export interface ReceivedEvent {
  event: PaymentEvent;
  caller: Caller;
}

/** A received event that has an effect, or is at least remembered. */
interface Accepted extends ReceivedEvent {
  order: Order | undefined;
  decision: PaymentDecision;
  steps: OrderStatus[];
  /** The order expires before the event can do anything to it. */
  expires: boolean;
  /** It failed before, so that its row is there. */
  hasFailed: boolean;
}

export type ApplyResult = (PaymentResult & { expired?: true }) | AppError;

/** @returns one result for each received event, in their order */
export async function applyPayments(tx: Tx, received: readonly ReceivedEvent[]): Promise<ApplyResult[]> {
  const orders = await lockOrders(
    tx,
    received.flatMap(({ event }) => event.orderId ?? []),
  );
  // Read after the locks were granted: whatever was applied to these orders before is seen.
  const known = await lockKnown(
    tx,
    received.map(({ event }) => event.identity),
  );
  const expiries = await findExpiries(tx, orders.values());
  const accepted = new Map<string, Accepted>();
  const repeated: string[] = [];
  const results = received.map((one): ApplyResult => {
    const { identity, orderId } = one.event;
    const before = known.get(identity);
    if (before !== undefined && before.outcome !== 'failed') {
      if (!one.event.replayed) repeated.push(identity);
      return alreadyProcessed(before);
    }
    const order = orderId === null ? undefined : orders.get(orderId);
    const expiry = order && expiries.get(order.id);
    const decision = decide(one.event, order, expiry !== undefined);
    if (decision instanceof AppError) return decision;
    known.set(identity, { orderId, outcome: decision.outcome });
    const steps = decision.outcome === 'processed' ? [decision.to] : [];
    const expires = expiry === 'overdue' && isPaymentEventType(one.event.type);
    accepted.set(identity, { ...one, order, decision, steps, expires, hasFailed: before !== undefined });
    return { ...toResult(decision, orderId), ...(expires ? { expired: true } : {}) };
  });
  const paid = await writeAccepted(tx, [...accepted.values()]);
  await countRepeats(tx, repeated);
  return results.map((result) => {
    const order =
      result instanceof AppError || result.status !== 'processed' ? undefined : paid.get(result.order_id);
    return order === undefined
      ? result
      : { status: 'processed', order_id: order.id, new_status: order.status };
  });
}

/** One more inbound delivery of an event; undefined when the event is not known. */
export async function repeatPayment(tx: Tx, identity: string): Promise<PaymentResult | undefined> {
  const known = (await lockKnown(tx, [identity])).get(identity);
  if (known === undefined || known.outcome === 'failed') return undefined;
  await countRepeats(tx, [identity]);
  return alreadyProcessed(known);
}

function alreadyProcessed({ orderId, outcome }: KnownPaymentEvent): PaymentResult {
  return { status: 'already_processed', ...named(orderId), outcome };
}

function decide(
  event: PaymentEvent,
  order: Order | undefined,
  hasExpired: boolean,
): PaymentDecision | AppError {
  if (event.ignored !== undefined) return { outcome: 'ignored', reason: event.ignored };
  if (!isPaymentEventType(event.type)) {
    return { outcome: 'ignored', reason: `Events of the type ${event.type} are not used` };
  }
  if (order === undefined) return new AppError('order_not_found', 'Order not found');
  const amounts = { amountCents: event.amountCents, totalCents: toCents(order.total) };
  return decidePayment(event.type, hasExpired ? 'EXPIRED' : order.status, amounts);
}

/** The order that an answer names; events of unused types may name none. */
function named(orderId: number | null): { order_id?: number } {
  return orderId === null ? {} : { order_id: orderId };
}

function toResult(decision: PaymentDecision, orderId: number | null): PaymentResult {
  const { outcome } = decision;
  // Only what names an order of ours is more than ignored (`decide`).
  if (outcome === 'ignored' || orderId === null) {
    return {
      status: 'ignored',
      ...named(orderId),
      reason: decision.outcome === 'ignored' ? decision.reason : '',
    };
  }
  if (outcome === 'processed') return { status: outcome, order_id: orderId, new_status: decision.to };
  const { reason } = decision;
  return { status: outcome, order_id: orderId, reason, detail: reviewReasons[reason] };
}

/** @returns the orders that were moved, by their ids */
async function writeAccepted(tx: Tx, accepted: readonly Accepted[]): Promise<Map<number, Order>> {
  const keptRefunds = await cancelByKeptRefunds(tx, accepted);
  const eventIds = await storeEvents(tx, accepted);
  const moved = await applyTransitions(
    tx,
    accepted.flatMap(({ event, order, steps, expires, caller }) => {
      if (order !== undefined && expires) return [expiryOf(order, caller.requestId)];
      // No money is due back: either none was taken, or the refund is what this event, or a kept one, says.
      return order === undefined || steps.length === 0
        ? []
        : [{ order, steps, cause: event.type, refundDue: false, caller }];
    }),
  );
  await writeReviews(tx, accepted, eventIds);
  for (const { event, caller } of accepted) {
    const kept = keptRefunds.filter(({ orderId }) => orderId === event.orderId);
    await settleKeptRefunds(tx, kept, caller);
  }
  return new Map(moved.map((order) => [order.id, order]));
}

/** @returns the ids of the events' rows by their identities */
async function storeEvents(tx: Tx, accepted: readonly Accepted[]): Promise<Map<string, number>> {
  const rows = accepted.map(({ event, caller, decision, steps, hasFailed }) => ({
    event,
    caller,
    outcome: decision.outcome,
    reason: decision.outcome === 'processed' ? null : decision.reason,
    newStatus: steps.at(-1) ?? null,
    hasFailed,
  }));
  const ids = await acceptFailedEvents(
    tx,
    rows.filter(({ hasFailed }) => hasFailed),
  );
  const inserted = await insertPaymentEvents(
    tx,
    rows.filter(({ hasFailed }) => !hasFailed),
  );
  return new Map([...ids, ...inserted]);
}

/** A refund that was kept cancels as soon as its payment has come. */
async function cancelByKeptRefunds(tx: Tx, accepted: readonly Accepted[]): Promise<KeptRefund[]> {
  const paying = accepted.filter(({ steps }) => steps.at(-1) === 'PAID');
  const kept = await takeKeptRefunds(
    tx,
    paying.flatMap(({ order }) => order?.id ?? []),
  );
  for (const { event, steps } of paying) {
    if (kept.some(({ orderId }) => orderId === event.orderId)) steps.push('CANCELED');
  }
  return kept;
}

async function writeReviews(
  tx: Tx,
  accepted: readonly Accepted[],
  eventIds: ReadonlyMap<string, number>,
): Promise<void> {
  const reviews = accepted.flatMap(({ event, order, decision, caller }) => {
    const paymentEventId = eventIds.get(event.identity);
    if (decision.outcome !== 'review' || order === undefined || paymentEventId === undefined) return [];
    const { reason } = decision;
    const { amountCents } = event;
    return [
      { paymentEventId, orderId: order.id, reason, detail: reviewReasons[reason], amountCents, caller },
    ];
  });
  const exceptions = await insertPaymentExceptions(tx, reviews);
  const callers = new Map(reviews.map(({ paymentEventId, caller }) => [paymentEventId, caller]));
  await appendEvents(
    tx,
    exceptions.flatMap((exception) => {
      const caller = callers.get(exception.payment_event_id);
      return caller === undefined ? [] : [newEvent(reviewRequired, exception, { exception }, caller)];
    }),
  );
}
