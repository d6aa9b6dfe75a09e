import { sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Db, Tx } from '../db/types.ts';
import type { Refusal } from './inbox.ts';

/** A refusal as often as it was delivered, and when. */
export interface CountedRefusal extends Refusal {
  deliveries: number;
  receivedAt: string;
  lastDeliveredAt: string;
}

/** What has been applied keeps its facts; a failure and a refusal take those of the newest. */
const factsOfTheNewest = [
  'scheme',
  'event_type',
  'order_id',
  'unsigned_event_id',
  'reason',
  'detail',
  'raw_body',
  'body_bytes',
  'request_id',
].map((name) => {
  const column = sql.ref(name);
  return sql`${column} = case when stored.outcome in ('failed', 'refused') then excluded.${column} else stored.${column} end`;
});

/**
 * Stores refusals, each of them once: what is there already counts up and takes the newest reason and body. What has
 * been applied meanwhile has not failed; there it is one more delivery of a known event.
 */
export async function writeRefusals(tx: Tx, refusals: readonly CountedRefusal[]): Promise<void> {
  await sql`
    with arrived as materialized (
      select * from unnest(
        ${textArray(refusals.map((r) => r.verdict))}::text[],
        ${textArray(refusals.map((r) => (r.verdict === 'valid' ? r.identity : `${r.verdict}:${r.identity}`)))}::text[],
        ${textArray(refusals.map((r) => r.scheme))}::text[],
        ${textArray(refusals.map((r) => r.eventType))}::text[],
        ${plainArray(refusals.map((r) => r.orderId ?? 'NULL'))}::bigint[],
        ${textArray(refusals.map((r) => r.unsignedEventId))}::text[],
        ${textArray(refusals.map((r) => r.reason))}::text[],
        ${textArray(refusals.map((r) => r.detail))}::text[],
        ${refusals.map((r) => r.rawBody)}::bytea[],
        ${plainArray(refusals.map((r) => (r.bodyBytes === r.rawBody.length ? 'NULL' : r.bodyBytes)))}::int[],
        ${textArray(refusals.map((r) => r.requestId))}::text[],
        ${plainArray(refusals.map((r) => r.deliveries))}::int[],
        ${textArray(refusals.map((r) => r.receivedAt))}::timestamptz[],
        ${textArray(refusals.map((r) => r.lastDeliveredAt))}::timestamptz[]
      ) as a (verdict, identity, scheme, event_type, order_id, unsigned_event_id, reason, detail, raw_body, body_bytes,
              request_id, deliveries, received_at, last_delivered_at)
    )
    insert into inbound_deliveries as stored
      (verdict, identity, scheme, event_type, order_id, unsigned_event_id, reason, detail, raw_body, body_bytes,
       request_id, deliveries, received_at, last_delivered_at, outcome)
    select a.*, case a.verdict when 'valid' then 'failed' else 'refused' end from arrived a
     -- In one order everywhere, so that two instances cannot wait for each other's rows.
     order by a.identity collate "C", a.event_type collate "C"
    on conflict (identity, coalesce(event_type, '')) do update
       set deliveries = stored.deliveries + excluded.deliveries,
           last_delivered_at =
             greatest(coalesce(stored.last_delivered_at, stored.received_at), excluded.last_delivered_at),
           ${sql.join(factsOfTheNewest)}
  `.execute(tx);
}

export interface StoredRefusal {
  outcome: string;
  identity: string;
  scheme: string | null;
  unsignedEventId: string | null;
  rawBody: Buffer;
}

export async function findRefusal(db: Db, id: number): Promise<StoredRefusal | undefined> {
  return db
    .selectFrom('inbound_deliveries')
    .select(['outcome', 'identity', 'scheme', 'unsigned_event_id as unsignedEventId', 'raw_body as rawBody'])
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Why it failed when it was last tried. */
export async function updateRefusalReason(
  db: Db,
  id: number,
  { reason, detail }: Pick<Refusal, 'reason' | 'detail'>,
): Promise<void> {
  await db
    .updateTable('inbound_deliveries')
    .set({ reason, detail })
    .where('id', '=', id)
    .where('outcome', '=', 'failed')
    .execute();
}

export async function deleteRefusal(db: Db, id: number): Promise<void> {
  await db.deleteFrom('inbound_deliveries').where('id', '=', id).where('outcome', '=', 'failed').execute();
}

export async function countFailed(db: Db): Promise<number> {
  const { count } = await db
    .selectFrom('inbound_deliveries')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('outcome', '=', sql.lit('failed'))
    .executeTakeFirstOrThrow();
  return count;
}

export interface Retention {
  days: number;
  rows: number;
}

/** Deletes, at most `limit` at once, what is too old or too many. @returns how many */
export async function deleteOldRefusals(
  db: Db,
  { failed, unverified, limit }: { failed: Retention; unverified: Retention; limit: number },
): Promise<number> {
  const { rows } = await sql`
    delete from inbound_deliveries
     where id in (
       select id from inbound_deliveries
        where outcome in ('failed', 'refused')
          and case when outcome = 'failed' then
                last_delivered_at < now() - make_interval(days => ${failed.days}::int)
                or id <= (select d.id from inbound_deliveries d where d.outcome = 'failed'
                           order by d.id desc offset ${failed.rows} limit 1)
              else
                last_delivered_at < now() - make_interval(days => ${unverified.days}::int)
                or id <= (select d.id from inbound_deliveries d where d.outcome = 'refused'
                           order by d.id desc offset ${unverified.rows} limit 1)
              end
        order by id
        limit ${limit}
          for update skip locked
     )
    returning 1
  `.execute(db);
  return rows.length;
}
