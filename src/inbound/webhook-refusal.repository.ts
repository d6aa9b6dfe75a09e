import { sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Db, Tx } from '../db/types.ts';
import type { Refusal, Verdict } from './inbox.ts';

/** A refusal as often as it was delivered, and when. */
export interface CountedRefusal extends Refusal {
  deliveries: number;
  receivedAt: string;
  lastDeliveredAt: string;
}

/**
 * Stores refusals, each of them once: what is there already counts up and takes the newest reason and body. What has
 * been applied meanwhile has not failed; there it is one more delivery of a known event.
 */
export async function writeRefusals(tx: Tx, refusals: readonly CountedRefusal[]): Promise<void> {
  await sql`
    with arrived as materialized (
      select * from unnest(
        ${textArray(refusals.map((r) => r.verdict))}::text[],
        ${textArray(refusals.map((r) => r.identity))}::text[],
        ${textArray(refusals.map((r) => r.scheme))}::text[],
        ${textArray(refusals.map((r) => r.eventType))}::text[],
        ${plainArray(refusals.map((r) => r.orderId ?? 'NULL'))}::bigint[],
        ${textArray(refusals.map((r) => r.unsignedEventId))}::text[],
        ${textArray(refusals.map((r) => r.reason))}::text[],
        ${textArray(refusals.map((r) => r.detail))}::text[],
        ${refusals.map((r) => r.rawBody)}::bytea[],
        ${plainArray(refusals.map((r) => r.bodyBytes))}::int[],
        ${textArray(refusals.map((r) => r.requestId))}::text[],
        ${plainArray(refusals.map((r) => r.deliveries))}::int[],
        ${textArray(refusals.map((r) => r.receivedAt))}::timestamptz[],
        ${textArray(refusals.map((r) => r.lastDeliveredAt))}::timestamptz[]
      ) as a (verdict, identity, scheme, event_type, order_id, unsigned_event_id, reason, detail, raw_body, body_bytes,
              request_id, deliveries, received_at, last_delivered_at)
    ), locked as materialized (
      select e.id, a.deliveries, a.last_delivered_at
        from arrived a join payment_events e using (identity)
       where a.verdict = 'valid'
       -- In the order of countRepeats, which may be counting the same ones.
       order by e.id
         for no key update of e
    ), known as (
      update payment_events e
         set deliveries = e.deliveries + locked.deliveries,
             last_delivered_at = greatest(coalesce(e.last_delivered_at, e.received_at), locked.last_delivered_at)
        from locked
       where e.id = locked.id
      returning e.identity
    )
    insert into webhook_refusals as stored
      (verdict, identity, scheme, event_type, order_id, unsigned_event_id, reason, detail, raw_body, body_bytes,
       request_id, deliveries, received_at, last_delivered_at)
    select * from arrived a
     where a.verdict <> 'valid' or a.identity not in (select identity from known)
     -- In one order everywhere, so that two instances cannot wait for each other's rows.
     order by a.verdict, a.identity collate "C"
    on conflict (verdict, identity) do update
       set deliveries = stored.deliveries + excluded.deliveries,
           scheme = excluded.scheme, event_type = excluded.event_type, order_id = excluded.order_id,
           unsigned_event_id = excluded.unsigned_event_id, reason = excluded.reason, detail = excluded.detail,
           raw_body = excluded.raw_body, body_bytes = excluded.body_bytes, request_id = excluded.request_id,
           last_delivered_at = greatest(stored.last_delivered_at, excluded.last_delivered_at)
  `.execute(tx);
}

export interface StoredRefusal {
  verdict: string;
  identity: string;
  scheme: string | null;
  unsignedEventId: string | null;
  rawBody: Buffer;
}

export async function findRefusal(db: Db, id: number): Promise<StoredRefusal | undefined> {
  return db
    .selectFrom('webhook_refusals')
    .select(['verdict', 'identity', 'scheme', 'unsigned_event_id as unsignedEventId', 'raw_body as rawBody'])
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Why it failed when it was last tried. */
export async function updateRefusalReason(
  db: Db,
  id: number,
  { reason, detail }: Pick<Refusal, 'reason' | 'detail'>,
): Promise<void> {
  await db.updateTable('webhook_refusals').set({ reason, detail }).where('id', '=', id).execute();
}

export async function deleteRefusal(db: Db, id: number): Promise<void> {
  await db.deleteFrom('webhook_refusals').where('id', '=', id).execute();
}

/**
 * A failure may be written down while a later delivery of the same event is applied, and neither sees the other. What is
 * applied has not failed; the purge takes the row away.
 */
export const isApplied = sql<boolean>`exists (
  select from payment_events applied where applied.identity = webhook_refusals.identity
)`;

export async function countFailed(db: Db): Promise<number> {
  const { count } = await db
    .selectFrom('webhook_refusals')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('verdict', '=', 'valid' satisfies Verdict)
    .where(sql<boolean>`not ${isApplied}`)
    .executeTakeFirstOrThrow();
  return count;
}

export interface Retention {
  days: number;
  rows: number;
}

/** Deletes, at most `limit` at once, what is too old, too many, or applied by now. @returns how many */
export async function deleteOldRefusals(
  db: Db,
  { failed, unverified, limit }: { failed: Retention; unverified: Retention; limit: number },
): Promise<number> {
  const { rows } = await sql`
    delete from webhook_refusals
     where id in (
       select id from webhook_refusals
        where case when verdict = 'valid' then
                last_delivered_at < now() - make_interval(days => ${failed.days}::int)
                or id <= (select r.id from webhook_refusals r where r.verdict = 'valid'
                           order by r.id desc offset ${failed.rows} limit 1)
                or ${isApplied}
              else
                last_delivered_at < now() - make_interval(days => ${unverified.days}::int)
                or id <= (select r.id from webhook_refusals r where r.verdict <> 'valid'
                           order by r.id desc offset ${unverified.rows} limit 1)
              end
        order by id
        limit ${limit}
          for update skip locked
     )
    returning 1
  `.execute(db);
  return rows.length;
}
