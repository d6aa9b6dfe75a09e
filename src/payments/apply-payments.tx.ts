import { createHash } from 'node:crypto';

import type { Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError } from '../lib/errors.ts';
import { findExpiries } from '../orders/expiry/overdue.repository.ts';
import { lockOrders } from '../orders/order.repository.ts';
import type { OrderStatus } from '../orders/order-state.ts';
import type { LockedOrder } from '../orders/order.ts';
import { moveMoney } from './move-money.tx.ts';
import { findObjection } from './named-order.tx.ts';
import type { PaymentEvent, PaymentResult } from './payment-event.ts';
import { findFigures } from './payment-ledger.repository.ts';
import {
  acceptFailedEvents,
  countRepeats,
  eventKey,
  insertPaymentEvents,
  type KnownPaymentEvent,
  lockKnown,
} from './payment.repository.ts';
import {
  decidePayment,
  ignore,
  isPaymentEventType,
  type MoneyDecision,
  notice,
  type PaidOrder,
  reviewReasons,
} from './payment-rules.ts';

/*
 * Applying payment events exactly once, any number of them in one transaction, at most one for each order.
 *
 * - The orders are locked first, so that events and requests about one order are decided one after the other.
 * - The insert of the events' identities is the gate: it comes before every effect and in the same transaction, so
 *   after a crash there are both or neither.
 * - An event for an unknown order leaves nothing behind, so that the provider can send it again.
 * - An order that is overdue by now expires first, in the same transaction, whether or not the sweep has come by.
 * - Money that buys nothing is never dropped: it is in the ledger, and a payment exception says so.
 * - A known event that says something else is an event of its own, without an effect but an exception.
 */
export interface ReceivedEvent {
  event: PaymentEvent;
  caller: Caller;
}

/** What of the shop decides about payments. */
export interface PaymentTerms {
  currency: string;
  failedPayment: 'cancel' | 'keep';
}

/** A received event that has an effect, or is at least remembered. */
interface Accepted extends ReceivedEvent {
  key: string;
  event: DistinctEvent;
  order: LockedOrder | undefined;
  decision: MoneyDecision;
  /** The order expires before the event can do anything to it. */
  expires: boolean;
  /** The row of a delivery of it that failed. */
  failedId: number | undefined;
}

export type ApplyResult = (PaymentResult & { expired?: true; movedTo?: OrderStatus }) | AppError;

/** @returns one result for each received event, in their order */
export async function applyPayments(
  tx: Tx,
  received: readonly ReceivedEvent[],
  terms: PaymentTerms,
): Promise<ApplyResult[]> {
  const orders = await lockOrders(
    tx,
    received.flatMap(({ event }) => event.orderId ?? []),
  );
  // Read after the locks were granted: whatever was applied to these orders before is seen.
  const known = await findKnown(tx, received);
  const expiries = await findExpiries(tx, orders.values());
  const accepted = new Map<string, Accepted>();
  const repeated: string[] = [];
  const results: ApplyResult[] = [];
  for (const one of received) {
    const event = distinguish(one.event, known);
    const key = keyOf(event);
    const before = known.get(key);
    if (before !== undefined && before.outcome !== 'failed') {
      if (!event.replayed) repeated.push(key);
      results.push(alreadyProcessed(before));
      continue;
    }
    const order = event.orderId === null ? undefined : orders.get(event.orderId);
    const expiry = order && expiries.get(order.id);
    const decision = await decide(tx, event, { order, hasExpired: expiry !== undefined, terms });
    if (decision instanceof AppError) {
      results.push(decision);
      continue;
    }
    const isOfOrder = isPaymentEventType(event.type) && event.copyOf === undefined;
    const expires = expiry === 'overdue' && isOfOrder;
    const failedId = before?.id ?? takeUnreadable(event, known);
    known.set(key, toKnown(event, decision));
    accepted.set(key, { ...one, event, key, order, decision, expires, failedId });
    results.push(toResult(decision, event, { order, expires }));
  }
  const ids = await writeAccepted(tx, [...accepted.values()]);
  await countRepeats(
    tx,
    repeated.flatMap((key) => ids.get(key) ?? known.get(key)?.id ?? []),
  );
  return results;
}

/** One more inbound delivery of an event; undefined when the event is not known. */
export async function repeatPayment(
  tx: Tx,
  { identity, eventType }: { identity: string; eventType: string | null },
): Promise<PaymentResult | undefined> {
  const known = (await lockKnown(tx, [identity])).filter(({ outcome }) => outcome !== 'failed');
  // A copy may be too damaged to say its type.
  const [one] = eventType === null ? known : known.filter(({ event_type }) => event_type === eventType);
  if (one === undefined) return undefined;
  await countRepeats(tx, [one.id]);
  return alreadyProcessed(one);
}

type Known = Pick<KnownPaymentEvent, 'orderId' | 'amountCents' | 'currency' | 'outcome'> & { id?: number };

function keyOf({ identity, type }: Pick<PaymentEvent, 'identity' | 'type'>): string {
  return eventKey({ identity, event_type: type });
}

/** The events that came before, by their keys; also under the identities that changed copies of them have. */
async function findKnown(tx: Tx, received: readonly ReceivedEvent[]): Promise<Map<string, Known>> {
  const rows = await lockKnown(
    tx,
    received.map(({ event }) => event.identity),
  );
  const known = new Map<string, Known>(rows.map((row) => [eventKey(row), row]));
  const changed = received.flatMap(({ event }) => {
    const before = known.get(keyOf(event));
    return before !== undefined && differs(before, event) ? [changedIdentity(event)] : [];
  });
  if (changed.length > 0) for (const row of await lockKnown(tx, changed)) known.set(eventKey(row), row);
  return known;
}

interface DistinctEvent extends PaymentEvent {
  /** The order of the event that it is a changed copy of. */
  copyOf?: number;
}

/** A known event that says something else is an event of its own, told apart by its body. */
function distinguish(event: PaymentEvent, known: ReadonlyMap<string, Known>): DistinctEvent {
  const before = known.get(keyOf(event));
  if (before === undefined || before.orderId === null || !differs(before, event)) return event;
  return { ...event, identity: changedIdentity(event), copyOf: before.orderId };
}

/** A delivery that failed because it was too damaged to say its type; its row becomes one event. */
function takeUnreadable({ identity }: PaymentEvent, known: Map<string, Known>): number | undefined {
  const key = eventKey({ identity, event_type: null });
  const row = known.get(key);
  known.delete(key);
  return row?.id;
}

/** Whether an event says something else than what was accepted under its identity. */
function differs(before: Known, event: PaymentEvent): boolean {
  if (before.outcome === 'failed' || !isPaymentEventType(event.type)) return false;
  const { orderId, amountCents, currency } = before;
  const otherCurrency = currency !== null && event.currency !== undefined && currency !== event.currency;
  return orderId !== event.orderId || amountCents !== event.amountCents || otherCurrency;
}

function changedIdentity({ identity, rawBody }: PaymentEvent): string {
  return `changed:${createHash('sha256').update(identity).update('\0').update(rawBody).digest('hex')}`;
}

function toKnown(event: PaymentEvent, { outcome }: MoneyDecision): Known {
  const { orderId, amountCents, currency } = event;
  return { orderId, amountCents, currency: currency ?? null, outcome };
}

function alreadyProcessed({ orderId, outcome }: Pick<Known, 'orderId' | 'outcome'>): PaymentResult {
  return { status: 'already_processed', ...named(orderId), outcome };
}

/** Sums that an order does not have, for events that no order is moved by. */
const NO_MONEY = { totalCents: 0, paidCents: 0, refundedCents: 0, paidByHand: false, acceptedCents: 0 };

async function decide(
  tx: Tx,
  event: DistinctEvent,
  given: { order: LockedOrder | undefined; hasExpired: boolean; terms: PaymentTerms },
): Promise<MoneyDecision | AppError> {
  const { order, hasExpired, terms } = given;
  const paid: PaidOrder = {
    status: order === undefined ? 'PENDING' : hasExpired ? 'CANCELED' : order.status,
    hasExpired,
    money: order?.money ?? NO_MONEY,
  };
  if (event.ignored !== undefined) return ignore(paid, event.ignored);
  if (!isPaymentEventType(event.type)) return ignore(paid, `Events of the type ${event.type} are not used`);
  if (event.copyOf !== undefined) return notice(paid, 'event_changed');
  if (order === undefined) return new AppError('order_not_found', 'Order not found');
  if ((event.currency ?? terms.currency) !== terms.currency) return notice(paid, 'currency_mismatch');
  const objection = await findObjection(tx, event, order);
  if (objection instanceof AppError) return objection;
  if (objection !== undefined) return ignore(paid, objection);
  const amountCents = await ownAmount(tx, event, order);
  const movesMoney = event.type === 'payment.succeeded' || event.type === 'payment.refunded';
  if (movesMoney && amountCents === 0) return ignore(paid, 'It names no money that is not counted already');
  return decidePayment(paid, { type: event.type, amountCents }, terms.failedPayment);
}

/** The amount of this event alone; 0 when its figure says nothing new. */
async function ownAmount(
  tx: Tx,
  { provider, type, figure, amountCents }: PaymentEvent,
  { id: orderId }: LockedOrder,
): Promise<number | undefined> {
  if (figure === undefined || amountCents === undefined) return amountCents;
  const { whole, parts, counted } = await findFigures(tx, { orderId, provider, type, ...figure });
  const said =
    figure.refundId === undefined
      ? Math.max(whole, parts, amountCents)
      : Math.max(whole, parts + amountCents);
  return Math.max(0, said - counted);
}

/** The order that an answer names; events of unused types may name none. */
function named(orderId: number | null): { order_id?: number } {
  return orderId === null ? {} : { order_id: orderId };
}

function toResult(
  { outcome, reason, review, steps }: MoneyDecision,
  { orderId, copyOf }: DistinctEvent,
  { order, expires }: { order: LockedOrder | undefined; expires: boolean },
): ApplyResult {
  const status = expires ? 'CANCELED' : (steps.at(-1) ?? order?.status);
  const effects = {
    ...(expires ? { expired: true as const } : {}),
    ...(steps.length > 0 && status !== undefined ? { movedTo: status } : {}),
  };
  const order_id = copyOf ?? order?.id;
  // Only an event of an order of ours is more than ignored (`decide`).
  if (order_id === undefined || outcome === 'ignored') {
    return { status: 'ignored', ...named(orderId), reason: reason ?? '', ...effects };
  }
  if (review !== null) {
    return { status: 'review', order_id, reason: review, detail: reviewReasons[review], ...effects };
  }
  return { status: 'processed', order_id, new_status: status ?? 'PENDING', ...effects };
}

/** @returns the ids of the events' rows by their keys */
async function writeAccepted(tx: Tx, accepted: readonly Accepted[]): Promise<Map<string, number>> {
  const ids = await storeEvents(tx, accepted);
  await moveMoney(
    tx,
    accepted.flatMap(({ event, key, order, decision, expires, caller }) => {
      const orderId = event.copyOf ?? order?.id;
      if (orderId === undefined) return [];
      const { provider, figure, paymentMethod: method = null, amountCents } = event;
      const source = {
        provider,
        providerPaymentId: figure?.paymentId,
        paymentEventId: ids.get(key) ?? null,
        method,
        note: null,
      };
      return [{ orderId, order, decision, expires, cause: event.type, amountCents, source, caller }];
    }),
  );
  return ids;
}

async function storeEvents(tx: Tx, accepted: readonly Accepted[]): Promise<Map<string, number>> {
  const rows = accepted.map(({ event, caller, decision, failedId }) => ({
    event,
    caller,
    outcome: decision.outcome,
    reason: decision.reason,
    newStatus: decision.steps.at(-1) ?? null,
    failedId,
  }));
  const ids = await acceptFailedEvents(
    tx,
    rows.filter(({ failedId }) => failedId !== undefined),
  );
  const inserted = await insertPaymentEvents(
    tx,
    rows.filter(({ failedId }) => failedId === undefined),
  );
  return new Map([...ids, ...inserted]);
}
