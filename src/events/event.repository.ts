import { sql } from 'kysely';

import type { Db, Tx } from '../db/types.ts';
import type { AggregateType, NewEvent } from './define-event.ts';

/** Appends to the event log, in the given order. */
export async function appendEvents(tx: Tx, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  await sql`
    insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, request_id, payload)
    select e.type, e.aggregate_type, e.aggregate_id, e.aggregate_version,
           e.actor, e.request_id, e.payload::json
      from unnest(
        ${events.map((e) => e.type)}::text[],
        ${events.map((e) => e.aggregateType)}::text[],
        ${events.map((e) => e.aggregateId)}::bigint[],
        ${events.map((e) => e.aggregateVersion)}::bigint[],
        ${events.map((e) => e.caller.actor)}::text[],
        ${events.map((e) => e.caller.requestId)}::text[],
        ${events.map((e) => JSON.stringify(e.payload))}::text[]
      ) with ordinality as e (type, aggregate_type, aggregate_id, aggregate_version, actor, request_id, payload, position)
     order by e.position
  `.execute(tx);
}

export interface StoredEvent {
  type: string;
  version: number;
  actor: string;
  requestId: string | null;
  payload: unknown;
  occurredAt: string;
}

/** Every event of one aggregate, oldest first. */
export async function listEventsOf(db: Db, aggregateType: AggregateType, id: number): Promise<StoredEvent[]> {
  return db
    .selectFrom('events')
    .select(['type', 'aggregate_version as version', 'actor', 'request_id as requestId'])
    .select(['payload', 'occurred_at as occurredAt'])
    .where('aggregate_type', '=', aggregateType)
    .where('aggregate_id', '=', id)
    .orderBy('id')
    .execute();
}

/** Whether there ever was such an aggregate: its events outlive it. */
export async function hasEvents(db: Db, aggregateType: AggregateType, id: number): Promise<boolean> {
  const row = await db
    .selectFrom('events')
    .select('id')
    .where('aggregate_type', '=', aggregateType)
    .where('aggregate_id', '=', id)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
