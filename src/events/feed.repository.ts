import { CompiledQuery } from 'kysely';

import { textArray } from '../db/pg-array.ts';
import type { Db } from '../db/types.ts';
import type { AggregateType } from './define-event.ts';
import type { Position } from './position.ts';

/*
 * Reads the event log in its order, which is (epoch, transaction, id) behind the horizon of `event_feed`. Ids alone will
 * not do: a transaction that drew a lower id may commit later, and a reader that has passed that id would never see its
 * event. The horizon is the oldest transaction that still runs, so what is read here can have nothing appear before it.
 */

/** A row of the log. */
export interface StoredEvent {
  readonly position: Position;
  readonly type: string;
  readonly aggregateType: AggregateType;
  readonly aggregateId: number;
  readonly aggregateVersion: number;
  readonly actor: string;
  readonly requestId: string | null;
  readonly traceparent: string | null;
  /** Null where the rows of the aggregate say what it was (`payloadsFromRows` of the feed service). */
  readonly payload: unknown;
  readonly occurredAt: string;
}

export interface FeedPage {
  readonly events: StoredEvent[];
  /** Where to go on: behind the last event that was looked at, also when none of them was of the wanted types. */
  readonly next: Position;
  /** Nothing visible is left behind `next`. */
  readonly isEnd: boolean;
}

export interface FeedFilter {
  /** Undefined: all. */
  readonly types?: readonly string[] | undefined;
  /** At most so many events. */
  readonly limit: number;
}

/**
 * How many events are looked at for those of the wanted types. No index finds a type, because every index of the log makes
 * placing an order slower; looking at so many takes about 10 ms.
 */
const SCAN_MAX = 5000;
const XID8_MAX = '18446744073709551615';

interface FeedRow {
  transactionId: string | null;
  id: number;
  type: string;
  aggregateType: AggregateType;
  aggregateId: number;
  aggregateVersion: number;
  actor: string;
  requestId: string | null;
  traceparent: string | null;
  payload: unknown;
  occurredAt: string;
  scanned: number;
  lastTransactionId: string | null;
  lastId: number | null;
  nextEpoch: number | null;
}

/** Reads events behind a position, oldest first. An empty page is no end of the log unless it says so. */
export async function readFeed(db: Db, after: Position, { types, limit }: FeedFilter): Promise<FeedPage> {
  const events: StoredEvent[] = [];
  let next = after;
  // Once for each epoch, of which there is one unless the database was restored into another cluster.
  for (;;) {
    const scanMax = types === undefined ? limit - events.length : SCAN_MAX;
    const rows = await readEpoch(db, next, { types, limit: limit - events.length, scanMax });
    const found = rows.filter(({ transactionId }) => transactionId !== null).map((row) => toEvent(row, next));
    events.push(...found);
    // One row is always there.
    const { scanned, lastTransactionId, lastId, nextEpoch } = rows[0] as FeedRow;
    const last = found.at(-1);
    if (events.length >= limit && last !== undefined) return { events, next: last.position, isEnd: false };
    if (lastTransactionId !== null && lastId !== null) {
      next = { ...next, transactionId: lastTransactionId, id: lastId };
    }
    if (scanned >= scanMax) return { events, next, isEnd: false };
    if (nextEpoch === null) return { events, next, isEnd: true };
    next = { epoch: nextEpoch, transactionId: '0', id: 0 };
  }
}

async function readEpoch(
  db: Db,
  { epoch, transactionId, id }: Position,
  { types, limit, scanMax }: FeedFilter & { scanMax: number },
): Promise<FeedRow[]> {
  const parameters = [epoch, transactionId, id, scanMax, types && textArray(types), limit];
  const { rows } = await db.executeQuery<FeedRow>(CompiledQuery.raw(READ, parameters));
  return rows;
}

/**
 * The order and the horizon of the view `event_feed`, for one epoch, with bounds that the primary key finds: from the
 * view, PostgreSQL would read every event of earlier epochs whose transaction ids are higher. The payload of an event may
 * be large, so only what the page has is read.
 */
const READ = `
  with epoch as materialized (
    select next.epoch as next_epoch, this.first_id, coalesce(next.first_id, ${Number.MAX_SAFE_INTEGER}) as next_id,
           case when next.epoch is null then pg_snapshot_xmin(pg_current_snapshot()) else '${XID8_MAX}'::xid8 end as horizon
      from event_epochs this
      left join lateral (
        select epoch, first_id from event_epochs where epoch > this.epoch order by epoch limit 1
      ) next on true
     where this.epoch = $1
  ), scanned as materialized (
    select transaction_id, id, type
      from events
     where (transaction_id, id) > ($2::xid8, $3::bigint) and transaction_id < (select horizon from epoch)
       and id >= (select first_id from epoch) and id < (select next_id from epoch)
     order by transaction_id, id
     limit $4
  ), page as materialized (
    select transaction_id, id
      from scanned
     where $5::text[] is null or type = any($5::text[])
     order by transaction_id, id
     limit $6
  ), reached as (
    select transaction_id, id from scanned order by transaction_id desc, id desc limit 1
  )
  select e.transaction_id::text as "transactionId", e.id, e.type, e.aggregate_type as "aggregateType",
         e.aggregate_id as "aggregateId", e.aggregate_version as "aggregateVersion", e.actor,
         e.request_id as "requestId", e.traceparent, e.payload, e.occurred_at as "occurredAt",
         (select count(*) from scanned) as scanned,
         reached.transaction_id::text as "lastTransactionId", reached.id as "lastId",
         (select next_epoch from epoch) as "nextEpoch"
    from (values (1)) as always
    left join reached on true
    left join (page join events e using (transaction_id, id)) on true
   order by e.transaction_id, e.id`;

function toEvent(row: FeedRow, { epoch }: Position): StoredEvent {
  return {
    position: { epoch, transactionId: row.transactionId ?? '', id: row.id },
    type: row.type,
    aggregateType: row.aggregateType,
    aggregateId: row.aggregateId,
    aggregateVersion: row.aggregateVersion,
    actor: row.actor,
    requestId: row.requestId,
    traceparent: row.traceparent,
    payload: row.payload,
    occurredAt: row.occurredAt,
  };
}

/** What the log knows of a cursor: `expired` when events behind it are deleted, `unknown` when it was never a place in it. */
export type CursorVerdict = 'known' | 'expired' | 'unknown';

/**
 * Judges a cursor that a caller sends. A log that was restored from a backup does not have the events that came after the
 * backup was taken. A cursor of one of those must not lead on in silence, because its reader knows of changes that no longer
 * are, and may miss those that have taken their place.
 */
export async function judgeCursor(db: Db, { epoch, transactionId, id }: Position): Promise<CursorVerdict> {
  const parameters = [epoch, transactionId, id];
  const { rows } = await db.executeQuery<{ verdict: CursorVerdict }>(CompiledQuery.raw(JUDGE, parameters));
  return rows[0]?.verdict ?? 'unknown';
}

/**
 * A cursor with id 0 lies before a transaction, which may be any that has begun. Before the first event of an epoch there is
 * a place, too.
 */
const JUDGE = `
  select case
           when ($1::int, $2::xid8, $3::bigint) < (swept.epoch, swept.transaction_id, swept.id) then 'expired'
           when ($1::int, $2::xid8, $3::bigint) = (swept.epoch, swept.transaction_id, swept.id) then 'known'
           when $2::xid8 = '0' and $3::bigint = 0 then 'known'
           when $3::bigint = 0 and next.first_id is null and $2::xid8 <= pg_snapshot_xmax(pg_current_snapshot()) then 'known'
           when exists (
             select from events
              where transaction_id = $2::xid8 and id = $3::bigint and id >= this.first_id
                and (next.first_id is null or id < next.first_id)
           ) then 'known'
           else 'unknown'
         end as verdict
    from swept_events swept
    join event_epochs this on this.epoch = $1::int
    left join lateral (
      select first_id from event_epochs where epoch > this.epoch order by epoch limit 1
    ) next on true`;

/** The place behind all that is visible now: what appears later comes after it. */
export async function findHorizon(db: Db): Promise<Position> {
  const { rows } = await db.executeQuery<Position>(CompiledQuery.raw(HORIZON, []));
  return rows[0] as Position;
}

const HORIZON = `
  select max(epoch) as epoch, pg_snapshot_xmin(pg_current_snapshot())::text as "transactionId", 0 as id
    from event_epochs`;

/** The place at which the log begins: behind the last event that retention has deleted. */
export async function findBeginning(db: Db): Promise<Position> {
  const { rows } = await db.executeQuery<Position>(CompiledQuery.raw(BEGINNING, []));
  return rows[0] as Position;
}

const BEGINNING = `select epoch, transaction_id::text as "transactionId", id from swept_events`;
