import { sql } from 'kysely';

import type { Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PaymentEvent } from './payment-event.ts';

export interface NewPaymentEvent {
  event: PaymentEvent;
  outcome: 'processed' | 'ignored' | 'review';
  reason: string | null;
  newStatus: string | null;
}

/**
 * The gate: an identity can be inserted once. A second delivery at the same moment waits here until the first has
 * committed (then this one is known) or rolled back (then this one is the first).
 * @returns the new row's id, or undefined when the event is known
 */
export async function insertPaymentEvent(
  tx: Tx,
  { event, outcome, reason, newStatus }: NewPaymentEvent,
  caller: Caller,
): Promise<number | undefined> {
  const row = await tx
    .insertInto('payment_events')
    .values({
      identity: event.identity,
      event_type: event.type,
      order_id: event.orderId,
      amount: event.amountCents === undefined ? null : centsToDecimal(event.amountCents),
      payment_method: event.paymentMethod ?? null,
      scheme: event.scheme,
      unsigned_event_id: event.unsignedEventId ?? null,
      outcome,
      reason,
      new_status: newStatus,
      raw_body: event.rawBody,
      actor: caller.actor,
      request_id: caller.requestId,
    })
    .onConflict((conflict) => conflict.column('identity').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

export interface KnownPaymentEvent {
  orderId: number;
  outcome: string;
}

export async function findPaymentEvent(tx: Tx, identity: string): Promise<KnownPaymentEvent | undefined> {
  return tx
    .selectFrom('payment_events')
    .select(['order_id as orderId', 'outcome'])
    .where('identity', '=', identity)
    .executeTakeFirst();
}

export interface NewPaymentException {
  paymentEventId: number;
  orderId: number;
  reason: string;
  detail: string;
  amountCents: number | undefined;
}

export interface PaymentException {
  id: number;
  payment_event_id: number;
  order_id: number;
  reason: string;
  detail: string;
  amount: number | null;
  status: string;
  resolution: string | null;
  note: string | null;
  version: number;
  created_at: string;
}

const exceptionColumns = [
  'id',
  'payment_event_id',
  'order_id',
  'reason',
  'detail',
  'amount',
  'status',
  'resolution',
  'note',
  'version',
  'created_at',
] as const;

type ExceptionRow = Omit<PaymentException, 'amount'> & { amount: string | null };

function rowToException(row: ExceptionRow): PaymentException {
  return { ...row, amount: row.amount === null ? null : Number(row.amount) };
}

export async function insertPaymentException(
  tx: Tx,
  exception: NewPaymentException,
): Promise<PaymentException> {
  const row = await tx
    .insertInto('payment_exceptions')
    .values({
      payment_event_id: exception.paymentEventId,
      order_id: exception.orderId,
      reason: exception.reason,
      detail: exception.detail,
      amount: exception.amountCents === undefined ? null : centsToDecimal(exception.amountCents),
    })
    .returning(exceptionColumns)
    .executeTakeFirstOrThrow();
  return rowToException(row);
}

/**
 * Locks the open exceptions of refunds of the whole total that came before the payment. Their order is locked, so no
 * other can come in between.
 */
export async function lockKeptRefunds(tx: Tx, orderId: number, totalCents: number): Promise<number[]> {
  const rows = await tx
    .selectFrom('payment_exceptions')
    .select('id')
    .where('order_id', '=', orderId)
    .where('status', '=', 'OPEN')
    .where('reason', '=', 'refund_before_payment')
    .where((eb) => eb.or([eb('amount', 'is', null), eb('amount', '=', centsToDecimal(totalCents))]))
    .orderBy('id')
    .forUpdate()
    .execute();
  return rows.map(({ id }) => id);
}

export interface Resolution {
  resolution: string;
  note: string | null;
}

export async function resolveException(
  tx: Tx,
  id: number,
  { resolution, note }: Resolution,
  caller: Caller,
): Promise<PaymentException> {
  const row = await tx
    .updateTable('payment_exceptions')
    .set({
      status: 'RESOLVED',
      resolution,
      note,
      resolved_by: caller.actor,
      resolved_at: sql`now()`,
      version: sql`version + 1`,
    })
    .where('id', '=', id)
    .returning(exceptionColumns)
    .executeTakeFirstOrThrow();
  return rowToException(row);
}
