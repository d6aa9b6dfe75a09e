import { sql } from 'kysely';

import type { Tx } from '../db/types.ts';
import type { NewEvent } from './define-event.ts';

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
