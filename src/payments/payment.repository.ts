import { sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import { type ConstraintErrors, explainViolations, LostRaceError } from '../db/pg-errors.ts';
import type { Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal, toCents } from '../lib/money.ts';
import type { PaymentEvent } from './payment-event.ts';

export interface NewPaymentEvent {
  event: PaymentEvent;
  caller: Caller;
  outcome: 'processed' | 'ignored' | 'review';
  reason: string | null;
  newStatus: string | null;
  /** The row of a delivery of it that failed, which becomes the event. */
  failedId: number | undefined;
}

/** The columns of accepted events, one row for each, under the names of the table. */
function acceptedRows(rows: readonly NewPaymentEvent[]) {
  const events = rows.map(({ event }) => event);
  return sql`unnest(
        ${textArray(events.map(({ identity }) => identity))}::text[],
        ${textArray(events.map((e) => e.type))}::text[],
        ${plainArray(events.map((e) => e.orderId ?? 'NULL'))}::bigint[],
        ${plainArray(events.map((e) => (e.amountCents === undefined ? 'NULL' : centsToDecimal(e.amountCents))))}::numeric[],
        ${textArray(events.map((e) => e.paymentMethod ?? null))}::text[],
        ${textArray(events.map((e) => e.scheme))}::text[],
        ${textArray(events.map((e) => e.unsignedEventId ?? null))}::text[],
        ${textArray(rows.map((row) => row.outcome))}::text[],
        ${textArray(rows.map((row) => row.reason))}::text[],
        ${textArray(rows.map((row) => row.newStatus))}::text[],
        ${events.map((e) => e.rawBody)}::bytea[],
        ${textArray(rows.map(({ caller }) => caller.actor))}::text[],
        ${textArray(rows.map(({ caller }) => caller.requestId))}::text[],
        ${plainArray(events.map((e) => (e.replayed ? 0 : 1)))}::int[],
        ${textArray(events.map((e) => e.provider))}::text[],
        ${textArray(events.map((e) => e.figure?.paymentId ?? null))}::text[],
        ${textArray(events.map((e) => e.figure?.refundId ?? null))}::text[],
        ${textArray(events.map((e) => e.currency ?? null))}::text[],
        ${plainArray(rows.map((row) => row.failedId ?? 'NULL'))}::bigint[]
      ) as e (identity, event_type, order_id, amount, payment_method, scheme, unsigned_event_id, outcome, reason,
              new_status, raw_body, actor, request_id, deliveries, provider, provider_payment_id, provider_refund_id, currency,
              failed_id)`;
}

const VIOLATIONS: ConstraintErrors = {
  inbound_deliveries_identity_key: (cause) => new LostRaceError(cause),
};

interface StoredEvent {
  id: number;
  identity: string;
  event_type: string | null;
}

/** What is the same for every delivery of an event, and for no other event. */
export function eventKey({ identity, event_type }: { identity: string; event_type: string | null }): string {
  return JSON.stringify([identity, event_type]);
}

/**
 * The gate: an identity and a type can be inserted once. When another transaction has just inserted one of them, this one fails as
 * a whole and is tried again, and then that event is known.
 * @returns the ids of the rows by the keys of the events
 */
export async function insertPaymentEvents(
  tx: Tx,
  rows: readonly NewPaymentEvent[],
): Promise<Map<string, number>> {
  if (rows.length === 0) return new Map();
  const insertion = sql<StoredEvent>`
    insert into inbound_deliveries
      (identity, event_type, order_id, amount, payment_method, scheme, unsigned_event_id, outcome, reason, new_status,
       raw_body, actor, request_id, provider, provider_payment_id, provider_refund_id, currency)
    select e.identity, e.event_type, e.order_id, e.amount, e.payment_method, e.scheme, e.unsigned_event_id, e.outcome,
           e.reason, e.new_status, e.raw_body, e.actor, e.request_id, e.provider, e.provider_payment_id,
           e.provider_refund_id, e.currency
      from ${acceptedRows(rows)}
     -- In one order everywhere, so that two transactions cannot wait for each other's identities.
     order by e.identity collate "C", e.event_type collate "C"
    returning id, identity, event_type
  `;
  const { rows: stored } = await explainViolations(VIOLATIONS, insertion.execute(tx));
  return new Map(stored.map(({ id, ...event }) => [eventKey(event), id]));
}

/** The same for events whose failed deliveries `lockKnown` has found: each keeps its row, its id and its time. */
export async function acceptFailedEvents(
  tx: Tx,
  rows: readonly NewPaymentEvent[],
): Promise<Map<string, number>> {
  if (rows.length === 0) return new Map();
  const { rows: stored } = await sql<StoredEvent>`
    update inbound_deliveries d
       set event_type = e.event_type, order_id = e.order_id, amount = e.amount, payment_method = e.payment_method,
           scheme = e.scheme, unsigned_event_id = e.unsigned_event_id, outcome = e.outcome, reason = e.reason,
           detail = null, new_status = e.new_status, raw_body = e.raw_body, body_bytes = null, actor = e.actor,
           request_id = e.request_id, provider = e.provider, provider_payment_id = e.provider_payment_id,
           provider_refund_id = e.provider_refund_id, currency = e.currency, deliveries = d.deliveries + e.deliveries,
           last_delivered_at = case e.deliveries when 0 then d.last_delivered_at else now() end
      from ${acceptedRows(rows)}
     where d.id = e.failed_id
    returning d.id, d.identity, d.event_type
  `.execute(tx);
  return new Map(stored.map(({ id, ...event }) => [eventKey(event), id]));
}

export interface KnownPaymentEvent {
  id: number;
  identity: string;
  event_type: string | null;
  orderId: number | null;
  amountCents: number | undefined;
  currency: string | null;
  /** `failed` before it is applied. */
  outcome: string;
}

/**
 * Those of the events that came before. Their rows are locked, in one order everywhere, for they are counted up or accepted
 * next; an event that is new has no row. Events of other types that have the same id are among them.
 */
export async function lockKnown(tx: Tx, identities: readonly string[]): Promise<KnownPaymentEvent[]> {
  const rows = await tx
    .selectFrom('inbound_deliveries')
    .select(['id', 'identity', 'event_type', 'order_id as orderId', 'amount', 'currency', 'outcome'])
    .where('identity', '=', sql<string>`any(${textArray(identities)}::text[])`)
    .orderBy('identity')
    .orderBy('event_type')
    .forNoKeyUpdate()
    .execute();
  return rows.map(({ amount, ...row }) => ({
    ...row,
    amountCents: amount === null ? undefined : toCents(amount),
  }));
}

/** Counts deliveries of events whose rows this transaction has locked or written, as often as each is named. */
export async function countRepeats(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    update inbound_deliveries d
       set deliveries = d.deliveries + repeated.times, last_delivered_at = now()
      from (select id, count(*) as times from unnest(${plainArray(ids)}::bigint[]) as i (id) group by id) as repeated
     where d.id = repeated.id
  `.execute(tx);
}
