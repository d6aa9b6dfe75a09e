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
 *
 * What was delivered before and refused becomes the event: with its id, its time and the count of its deliveries.
 * @returns the ids of the rows by their identities
 */
export async function insertPaymentEvents(
  tx: Tx,
  rows: readonly NewPaymentEvent[],
): Promise<Map<string, number>> {
  if (rows.length === 0) return new Map();
  const events = rows.map(({ event }) => event);
  const identities = textArray(events.map(({ identity }) => identity));
  const inserted = await sql<{ id: number; identity: string }>`
    with locked as materialized (
      -- In the order of writeRefusals, which may be storing the same ones.
      select id from webhook_refusals
       where verdict = 'valid' and identity = any(${identities}::text[])
       order by verdict, identity collate "C"
         for update
    ), refused as (
      delete from webhook_refusals
       where id in (select id from locked)
      returning id, identity, deliveries, received_at, last_delivered_at
    )
    insert into payment_events
      (id, identity, event_type, order_id, amount, payment_method, scheme, unsigned_event_id, outcome, reason, new_status,
       raw_body, actor, request_id, deliveries, received_at, last_delivered_at)
    select coalesce(r.id, nextval('payment_events_id_seq')), e.identity, e.event_type, e.order_id, e.amount,
           e.payment_method, e.scheme, e.unsigned_event_id, e.outcome, e.reason, e.new_status,
           e.raw_body, e.actor, e.request_id,
           greatest(coalesce(r.deliveries, 0) + e.deliveries, 1), coalesce(r.received_at, now()),
           case when e.deliveries = 0 then r.last_delivered_at when r.id is not null then now() end
      from unnest(
        ${identities}::text[],
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
        ${plainArray(events.map((e) => (e.replayed ? 0 : 1)))}::int[]
      ) as e (identity, event_type, order_id, amount, payment_method, scheme, unsigned_event_id, outcome, reason,
              new_status, raw_body, actor, request_id, deliveries)
      left join refused r using (identity)
     -- In one order everywhere, so that two transactions cannot wait for each other's identities.
     order by e.identity collate "C"
    returning id, identity
  `.execute(tx);
  return new Map(inserted.rows.map(({ id, identity }) => [identity, id]));
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

/** Counts deliveries of known events; an identity counts as often as it is named. */
export async function countRepeats(tx: Tx, identities: readonly string[]): Promise<void> {
  if (identities.length === 0) return;
  await sql`
    with repeated as materialized (
      select e.id, r.times
        from (select identity, count(*) as times from unnest(${textArray(identities)}::text[]) as i (identity)
               group by identity) r
        join payment_events e using (identity)
       -- Locked in one order, for the same event may be delivered to many transactions at once.
       order by e.id
         for no key update of e
    )
    update payment_events e
       set deliveries = e.deliveries + repeated.times, last_delivered_at = now()
      from repeated
     where e.id = repeated.id
  `.execute(tx);
}
