import { sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Db, Tx } from '../db/types.ts';
import { findConsumer } from '../events/consumer.repository.ts';
import type { Position } from '../events/position.ts';

export interface Target {
  readonly id: number;
  /** Null: all. */
  readonly types: string[] | null;
}

/** Endpoints that events are kept for, also while they are paused or disabled. */
export async function listTargets(db: Db): Promise<Target[]> {
  return db
    .selectFrom('webhook_endpoints')
    .select(['id', 'types'])
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .execute();
}

/** The place up to which events were copied; undefined without endpoints, where the place stands still and nothing is needed. */
export async function findOutletPlace(db: Db): Promise<Position | undefined> {
  return (await listTargets(db)).length === 0 ? undefined : findConsumer(db, 'webhooks');
}

/** An event for one endpoint. */
export interface NewDelivery {
  readonly endpointId: number;
  readonly position: Position;
  readonly eventId: string;
  readonly eventType: string;
  readonly aggregateType: string;
  readonly aggregateId: number;
  readonly body: string;
  readonly traceparent: string | null;
}

/**
 * Adds deliveries in the given order, and each event of theirs once. An event that was committed when its endpoint was
 * created is left out. Behind a delivery of its aggregate that failed before, a new one waits as long as that one, so that
 * relays do not look at it in vain.
 * @returns how many deliveries were added
 */
export async function insertDeliveries(tx: Tx, deliveries: readonly NewDelivery[]): Promise<number> {
  if (deliveries.length === 0) return 0;
  const { rows } = await sql`
    with offered as (
      select * from unnest(
        ${plainArray(deliveries.map((d) => d.endpointId))}::bigint[],
        ${plainArray(deliveries.map((d) => d.position.epoch))}::integer[],
        ${textArray(deliveries.map((d) => d.position.transactionId))}::xid8[],
        ${textArray(deliveries.map((d) => d.eventId))}::text[],
        ${textArray(deliveries.map((d) => d.eventType))}::text[],
        ${textArray(deliveries.map((d) => d.aggregateType))}::text[],
        ${plainArray(deliveries.map((d) => d.aggregateId))}::bigint[],
        ${textArray(deliveries.map((d) => d.body))}::text[],
        ${textArray(deliveries.map((d) => d.traceparent))}::text[]
      ) with ordinality as o (
        endpoint_id, epoch, transaction_id, event_id, event_type, aggregate_type, aggregate_id, body, traceparent, position
      )
    ), wanted as materialized (
      select o.*, w.ordering
        from offered o
        join webhook_endpoints w on w.id = o.endpoint_id
         and (o.epoch > w.epoch or (o.epoch = w.epoch and not pg_visible_in_snapshot(o.transaction_id, w.snapshot)))
    ), messages as (
      insert into webhook_messages (event_id, event_type, body, traceparent)
      select distinct on (event_id) event_id, event_type, body, traceparent from wanted order by event_id
      returning id, event_id
    )
    insert into webhook_deliveries (endpoint_id, message_id, aggregate_type, aggregate_id, due_at)
    select o.endpoint_id, m.id, o.aggregate_type, o.aggregate_id,
           case when o.ordering = 'none' then now() else coalesce((
             select greatest(now(), max(p.due_at))
               from webhook_deliveries p
              where p.endpoint_id = o.endpoint_id and p.aggregate_type = o.aggregate_type
                and p.aggregate_id = o.aggregate_id and p.status = 'pending' and p.tries > 0
           ), now()) end
      from wanted o
      join messages m using (event_id)
     order by o.position
    returning 1
  `.execute(tx);
  return rows.length;
}
