import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { insertEvents } from '../events/event.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import type { Metrics } from '../lib/metrics.ts';
import { toCents } from '../lib/money.ts';
import { lockOrder } from '../orders/order.repository.ts';
import { applyTransition } from '../orders/order-transition.ts';
import type { OrderStatus } from '../orders/order-state.ts';
import type { Order } from '../orders/order.ts';
import type { PaymentEvent, PaymentResult } from './payment-event.ts';
import {
  findPaymentEvent,
  insertPaymentEvent,
  insertPaymentException,
  lockKeptRefunds,
  type PaymentException,
  resolveException,
} from './payment.repository.ts';
import {
  decidePayment,
  isPaymentEventType,
  type PaymentDecision,
  reviewReasons,
  type ReviewReason,
} from './payment-rules.ts';

/*
 * Applying a payment event exactly once.
 *
 * - The order is locked first, so deliveries and requests about one order are decided one after the other.
 * - Then the event's identity is inserted; that insert is the gate. Only who passes it goes on to the effect, in the
 *   same transaction: after a crash there are both or neither.
 * - An event for an unknown order leaves nothing behind, so that a later delivery can succeed.
 * - Money that buys nothing is never dropped: it becomes a payment exception, told by an event.
 */

export type PaymentService = ReturnType<typeof createPaymentService>;

export function createPaymentService({ db, metrics }: { db: Db; metrics: Metrics }) {
  return {
    /** @throws AppError order_not_found: nothing is stored, the provider may try again */
    async apply(event: PaymentEvent, caller: Caller): Promise<PaymentResult> {
      const result = await inTransaction(db, (tx) => applyEvent(tx, event, caller));
      metrics.paymentEvents.inc({ outcome: result.status });
      if (result.status === 'processed') metrics.orderTransitions.inc({ to: result.new_status });
      if (result.status === 'review') metrics.paymentExceptions.inc({ reason: result.reason });
      return result;
    },
  };
}

async function applyEvent(tx: Tx, event: PaymentEvent, caller: Caller): Promise<PaymentResult> {
  if (!isPaymentEventType(event.type)) return ignoreUnknownType(tx, event, caller);
  const order = await lockOrder(tx, event.orderId);
  if (order === undefined) return (await alreadyProcessed(tx, event)) ?? unknownOrder();

  const totalCents = toCents(order.total);
  const decision = decidePayment(event.type, order.status, { amountCents: event.amountCents, totalCents });
  const keptRefunds =
    decision.outcome === 'processed' && decision.to === 'PAID'
      ? await lockKeptRefunds(tx, order.id, totalCents)
      : [];
  const steps = stepsOf(decision, keptRefunds.length > 0);

  const paymentEventId = await insertPaymentEvent(
    tx,
    {
      event,
      outcome: decision.outcome,
      reason: decision.outcome === 'processed' ? null : decision.reason,
      newStatus: steps.at(-1) ?? null,
    },
    caller,
  );
  if (paymentEventId === undefined) return (await alreadyProcessed(tx, event)) ?? unknownOrder();

  if (decision.outcome === 'ignored') {
    return { status: 'ignored', order_id: order.id, reason: decision.reason };
  }
  if (decision.outcome === 'review') return review(tx, event, paymentEventId, decision.reason, caller);
  const after = await takeSteps(tx, order, steps, event.type, caller);
  for (const id of keptRefunds) await settleKeptRefund(tx, id, caller);
  return { status: 'processed', order_id: order.id, new_status: after.status };
}

/** The states an order goes through: a refund that was kept cancels as soon as the payment has come. */
function stepsOf(decision: PaymentDecision, refundIsKept: boolean): OrderStatus[] {
  if (decision.outcome !== 'processed') return [];
  return refundIsKept ? [decision.to, 'CANCELED'] : [decision.to];
}

async function takeSteps(
  tx: Tx,
  order: Order,
  steps: readonly OrderStatus[],
  cause: string,
  caller: Caller,
): Promise<Order> {
  let current = order;
  for (const [index, to] of steps.entries()) {
    // No money is due back: either none was taken, or the refund is what this event, or the kept one, says.
    const request = { to, cause, refundDue: false, raiseVersion: index === 0 };
    current = await applyTransition(tx, current, request, caller);
  }
  return current;
}

async function ignoreUnknownType(tx: Tx, event: PaymentEvent, caller: Caller): Promise<PaymentResult> {
  const reason = `Events of the type ${event.type} are not used`;
  const id = await insertPaymentEvent(tx, { event, outcome: 'ignored', reason, newStatus: null }, caller);
  if (id === undefined) return (await alreadyProcessed(tx, event)) ?? unknownOrder();
  return { status: 'ignored', order_id: event.orderId, reason };
}

async function alreadyProcessed(tx: Tx, { identity }: PaymentEvent): Promise<PaymentResult | undefined> {
  const known = await findPaymentEvent(tx, identity);
  return known && { status: 'already_processed', order_id: known.orderId, outcome: known.outcome };
}

async function review(
  tx: Tx,
  event: PaymentEvent,
  paymentEventId: number,
  reason: ReviewReason,
  caller: Caller,
): Promise<PaymentResult> {
  const detail = reviewReasons[reason];
  const exception = await insertPaymentException(tx, {
    paymentEventId,
    orderId: event.orderId,
    reason,
    detail,
    amountCents: event.amountCents,
  });
  await tell(tx, 'payment.review_required', exception, caller);
  return { status: 'review', order_id: event.orderId, reason, detail };
}

async function settleKeptRefund(tx: Tx, id: number, caller: Caller): Promise<void> {
  const note = 'The payment came, and the order was canceled with it';
  const exception = await resolveException(tx, id, { resolution: 'refunded', note }, caller);
  await tell(tx, 'payment.review_resolved', exception, caller);
}

function tell(
  tx: Tx,
  type: 'payment.review_required' | 'payment.review_resolved',
  exception: PaymentException,
  caller: Caller,
): Promise<void> {
  const { id, version } = exception;
  return insertEvents(tx, [
    {
      type,
      aggregateType: 'payment_exception',
      aggregateId: id,
      aggregateVersion: version,
      payload: { exception },
      caller,
    },
  ]);
}

function unknownOrder(): never {
  throw new AppError('order_not_found', 'Order not found');
}
