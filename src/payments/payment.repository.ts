import { sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PaymentEvent } from './payment-event.ts';

export interface NewPaymentEvent {
  event: PaymentEvent;
  caller: Caller;
  outcome: 'processed' | 'ignored' | 'review';
  reason: string | null;
  newStatus: string | null;
}

/**
 * The gate: an identity can be inserted once. When another transaction has just inserted one of them, this one fails as
 * a whole and is tried again, and then that event is known.
 * @returns the ids of the rows by their identities
 */
export async function insertPaymentEvents(
  tx: Tx,
  rows: readonly NewPaymentEvent[],
): Promise<Map<string, number>> {
  if (rows.length === 0) return new Map();
  const inserted = await tx
    .insertInto('payment_events')
    .values(
      // In one order everywhere, so that two transactions cannot wait for each other's identities.
      rows
        .toSorted((a, b) => (a.event.identity < b.event.identity ? -1 : 1))
        .map(({ event, caller, outcome, reason, newStatus }) => ({
          identity: event.identity,
          event_type: event.type,
          order_id: event.orderId,
          amount: amountOf(event.amountCents),
          payment_method: event.paymentMethod ?? null,
          scheme: event.scheme,
          unsigned_event_id: event.unsignedEventId ?? null,
          outcome,
          reason,
          new_status: newStatus,
          raw_body: event.rawBody,
          actor: caller.actor,
          request_id: caller.requestId,
        })),
    )
    .returning(['id', 'identity'])
    .execute();
  return new Map(inserted.map(({ id, identity }) => [identity, id]));
}

function amountOf(cents: number | undefined): string | null {
  return cents === undefined ? null : centsToDecimal(cents);
}

export interface KnownPaymentEvent {
  orderId: number | null;
  outcome: string;
}

/** Those of the events that were applied before, by their identities. */
export async function findPaymentEvents(
  tx: Tx,
  identities: readonly string[],
): Promise<Map<string, KnownPaymentEvent>> {
  const rows = await tx
    .selectFrom('payment_events')
    .select(['identity', 'order_id as orderId', 'outcome'])
    .where('identity', '=', sql<string>`any(${textArray(identities)}::text[])`)
    .execute();
  return new Map(rows.map(({ identity, ...known }) => [identity, known]));
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

export async function insertPaymentExceptions(
  tx: Tx,
  exceptions: readonly NewPaymentException[],
): Promise<PaymentException[]> {
  if (exceptions.length === 0) return [];
  const rows = await tx
    .insertInto('payment_exceptions')
    .values(
      exceptions.map((exception) => ({
        payment_event_id: exception.paymentEventId,
        order_id: exception.orderId,
        reason: exception.reason,
        detail: exception.detail,
        amount: amountOf(exception.amountCents),
      })),
    )
    .returning(exceptionColumns)
    .execute();
  return rows.map(rowToException);
}

export interface KeptRefund {
  id: number;
  orderId: number;
}

/**
 * Locks the open exceptions of refunds of the whole total that came before the payment. Their orders are locked, so no
 * other can come in between.
 */
export async function lockKeptRefunds(tx: Tx, orderIds: readonly number[]): Promise<KeptRefund[]> {
  if (orderIds.length === 0) return [];
  return tx
    .selectFrom('payment_exceptions as e')
    .innerJoin('orders as o', 'o.id', 'e.order_id')
    .select(['e.id', 'e.order_id as orderId'])
    .where('e.order_id', '=', sql<number>`any(${plainArray(orderIds)}::bigint[])`)
    .where('e.status', '=', 'OPEN')
    .where('e.reason', '=', 'refund_before_payment')
    .where((eb) => eb.or([eb('e.amount', 'is', null), eb('e.amount', '=', eb.ref('o.total'))]))
    .orderBy('e.id')
    .forUpdate('e')
    .execute();
}

export interface Resolution {
  resolution: string;
  note: string | null;
}

export async function resolveExceptions(
  tx: Tx,
  ids: readonly number[],
  { resolution, note }: Resolution,
  caller: Caller,
): Promise<PaymentException[]> {
  if (ids.length === 0) return [];
  const rows = await tx
    .updateTable('payment_exceptions')
    .set({
      status: 'RESOLVED',
      resolution,
      note,
      resolved_by: caller.actor,
      resolved_at: sql`now()`,
      version: sql`version + 1`,
    })
    .where('id', '=', sql<number>`any(${plainArray(ids)}::bigint[])`)
    .returning(exceptionColumns)
    .execute();
  return rows.map(rowToException);
}
