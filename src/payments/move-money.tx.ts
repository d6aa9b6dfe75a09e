import type { Tx } from '../db/types.ts';
import { newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { Caller } from '../lib/caller.ts';
import { expiryOf } from '../orders/expiry/expire-orders.tx.ts';
import { applyTransitions, type Transition } from '../orders/order-transition.tx.ts';
import type { LockedOrder } from '../orders/order.ts';
import { insertPaymentExceptions, settleExceptions } from './payment-exception.repository.ts';
import { insertPayments } from './payment-ledger.repository.ts';
import { type MoneyDecision, reviewReasons, settlingReasons } from './payment-rules.ts';
import { paymentRecorded, reviewRequired, reviewResolved } from './payment.events.ts';
import type { Payment } from './payment.schemas.ts';

/*
 * What a decision about money writes, in the transaction that has locked its order: the row of the ledger, the sums and
 * the state of the order, the exception that it opens and those that it settles, and the events of all of these. Any
 * number of orders take one statement of each kind; an order whose sums agree before and after takes none for exceptions.
 */
export interface MoneyMove {
  orderId: number;
  /** Locked; undefined where nothing but an exception is written. */
  order: LockedOrder | undefined;
  decision: MoneyDecision;
  /** The order expires before anything else happens to it. */
  expires: boolean;
  /** Of the steps of the order: the type of the event, or `request`. */
  cause: string;
  /** What the event named, for the exception that it may open. */
  amountCents: number | undefined;
  source: {
    provider: string;
    providerPaymentId: string | undefined;
    paymentEventId: number | null;
    method: string | null;
    note: string | null;
  };
  caller: Caller;
}

export interface Moved {
  /** The orders that have changed, as they are now, by their ids. */
  orders: Map<number, LockedOrder>;
  payments: Payment[];
}

/** Each order is in one move at most. */
export async function moveMoney(tx: Tx, moves: readonly MoneyMove[]): Promise<Moved> {
  const entries = moves.flatMap(({ orderId, decision: { entry, money }, source, caller }) =>
    entry === null ? [] : [{ orderId, entry, money, ...source, caller }],
  );
  const payments = await insertPayments(tx, entries);
  const moved = await applyTransitions(tx, moves.flatMap(toTransition), (orders) => {
    const byId = new Map(orders.map((order) => [order.id, order]));
    return payments.flatMap((payment, index) => {
      const order = byId.get(payment.order_id);
      const caller = entries[index]?.caller;
      return order === undefined || caller === undefined
        ? []
        : [newEvent(paymentRecorded, order, { payment }, caller)];
    });
  });
  await openExceptions(tx, moves);
  await settle(tx, moves);
  return { orders: new Map(moved.map((order) => [order.id, order])), payments };
}

function toTransition({ order, decision, expires, cause, caller }: MoneyMove): Transition[] {
  const { steps, money, entry } = decision;
  if (order === undefined) return [];
  if (expires) return [{ ...expiryOf(order, caller.requestId), money }];
  const changes = entry !== null || steps.length > 0;
  return changes ? [{ order, steps, money, cause, caller }] : [];
}

async function openExceptions(tx: Tx, moves: readonly MoneyMove[]): Promise<void> {
  const reviews = moves.flatMap(({ orderId, decision, amountCents, source, caller }) => {
    const { review } = decision;
    if (review === null) return [];
    const { paymentEventId } = source;
    return [{ paymentEventId, orderId, reason: review, detail: reviewReasons[review], amountCents, caller }];
  });
  // One for each, in the same order.
  const exceptions = await insertPaymentExceptions(tx, reviews);
  await appendEvents(
    tx,
    reviews.flatMap(({ caller }, index) => {
      const exception = exceptions[index];
      return exception === undefined ? [] : [newEvent(reviewRequired, exception, { exception }, caller)];
    }),
  );
}

const SETTLED_NOTE = 'The sums of the order agree';

async function settle(tx: Tx, moves: readonly MoneyMove[]): Promise<void> {
  const settling = moves.filter(({ decision }) => decision.settles);
  const resolved = await settleExceptions(
    tx,
    settling.map(({ orderId, caller }) => ({ orderId, actor: caller.actor })),
    { reasons: settlingReasons, note: SETTLED_NOTE },
  );
  const callers = new Map(settling.map(({ orderId, caller }) => [orderId, caller]));
  await appendEvents(
    tx,
    resolved.flatMap((exception) => {
      const caller = callers.get(exception.order_id);
      return caller === undefined ? [] : [newEvent(reviewResolved, exception, { exception }, caller)];
    }),
  );
}
