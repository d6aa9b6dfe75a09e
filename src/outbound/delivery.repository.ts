import { sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import type { Db, Tx } from '../db/types.ts';
import type { PageRequest } from '../lib/page.ts';
import type { Delivery, DeliveryFilter } from './delivery.schemas.ts';
import type { Attempt } from './relay.repository.ts';

/** Deliveries with their messages, of endpoints that are not deleted. */
function deliveries(db: Db) {
  return db
    .selectFrom('webhook_deliveries')
    .innerJoin('webhook_messages', 'webhook_messages.id', 'webhook_deliveries.message_id')
    .innerJoin('webhook_endpoints', 'webhook_endpoints.id', 'webhook_deliveries.endpoint_id')
    .where('webhook_endpoints.deleted_at', 'is', null)
    .select([
      'webhook_deliveries.id',
      'webhook_deliveries.endpoint_id',
      'webhook_messages.event_id',
      'webhook_messages.event_type',
      'webhook_deliveries.aggregate_type',
      'webhook_deliveries.aggregate_id',
      'webhook_deliveries.status',
      'webhook_deliveries.due_at',
      'webhook_deliveries.attempts',
      'webhook_deliveries.created_at',
      'webhook_deliveries.settled_at',
    ]);
}

type DeliveryRow = Omit<Delivery, 'status' | 'next_attempt_at' | 'attempts'> & {
  status: string;
  due_at: string;
  attempts: unknown;
};

function rowToDelivery({ due_at, ...row }: DeliveryRow): Delivery {
  return {
    ...row,
    // Checked by the table.
    status: row.status as Delivery['status'],
    next_attempt_at: row.status === 'pending' ? due_at : null,
    // Written by `settleDeliveries` alone.
    attempts: row.attempts as Attempt[],
  };
}

export async function listDeliveries(
  db: Db,
  { endpoint_id, status, event_id }: DeliveryFilter,
  page: PageRequest,
): Promise<Delivery[]> {
  let query = deliveries(db);
  if (endpoint_id !== undefined) query = query.where('webhook_deliveries.endpoint_id', '=', endpoint_id);
  // Written out, so that the plan can use the index of dead ones.
  if (status !== undefined) query = query.where('webhook_deliveries.status', '=', sql.lit(status));
  if (event_id !== undefined) query = query.where('webhook_messages.event_id', '=', event_id);
  const rows = await onPage(query, 'webhook_deliveries', page).execute();
  return rows.map(rowToDelivery);
}

export async function findDelivery(db: Db, id: number): Promise<Delivery | undefined> {
  const row = await deliveries(db).where('webhook_deliveries.id', '=', id).executeTakeFirst();
  return row && rowToDelivery(row);
}

/** Begins a new series of tries. @returns false when the delivery is not over */
export async function restartDelivery(tx: Tx, id: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('webhook_deliveries')
    .set({ status: 'pending', tries: 0, due_at: sql`now()`, settled_at: null })
    .where('id', '=', id)
    .where('status', '<>', 'pending')
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** A message that is no event of the log, for one endpoint. @returns the id of its delivery */
export async function insertPing(
  tx: Tx,
  {
    endpointId,
    eventId,
    eventType,
    body,
  }: Record<'eventId' | 'eventType' | 'body', string> & { endpointId: number },
): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    with message as (
      insert into webhook_messages (event_id, event_type, body) values (${eventId}, ${eventType}, ${body}) returning id
    )
    insert into webhook_deliveries (endpoint_id, message_id, aggregate_type, aggregate_id)
    select ${endpointId}::bigint, id, 'webhook_endpoint', ${endpointId}::bigint from message
    returning id
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new Error('the insert of a ping returned no row');
  return row.id;
}

/** How many pings an endpoint was sent within the last minute. */
export async function countPings(tx: Tx, endpointId: number, eventType: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count
      from webhook_deliveries d join webhook_messages m on m.id = d.message_id
     where d.endpoint_id = ${endpointId} and d.aggregate_type = 'webhook_endpoint' and d.aggregate_id = ${endpointId}
       and d.created_at > now() - interval '1 minute' and m.event_type = ${eventType}
  `.execute(tx);
  return rows[0]?.count ?? 0;
}

/** Deletes deliveries that arrived before so many days, and events that no delivery needs any more. */
export async function deleteDelivered(db: Db, days: number, limit: number): Promise<number> {
  return deleteDeliveries(
    db,
    sql`status = 'delivered' and settled_at < now() - make_interval(days => ${days}) order by settled_at`,
    limit,
  );
}

/** Deletes deliveries of endpoints that were deleted, whatever has become of them. */
export async function deleteOrphans(db: Db, limit: number): Promise<number> {
  return deleteDeliveries(
    db,
    sql`endpoint_id in (select id from webhook_endpoints where deleted_at is not null) order by id`,
    limit,
  );
}

async function deleteDeliveries(db: Db, which: ReturnType<typeof sql>, limit: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with gone as (
      delete from webhook_deliveries
       where id in (select id from webhook_deliveries where ${which} limit ${limit} for update skip locked)
      returning id, message_id
    ), messages as (
      delete from webhook_messages m
       where m.id in (select message_id from gone)
         and not exists (
           select from webhook_deliveries d where d.message_id = m.id and d.id not in (select id from gone)
         )
    )
    select count(*) as count from gone
  `.execute(db);
  return rows[0]?.count ?? 0;
}

/** Deletes the rows of deleted endpoints that have no deliveries left. */
export async function deleteEndpointRows(db: Db): Promise<void> {
  await sql`
    delete from webhook_endpoints w
     where w.deleted_at is not null
       and not exists (select from webhook_deliveries d where d.endpoint_id = w.id)
  `.execute(db);
}

export interface Backlog {
  pending: number;
  dead: number;
  /** Age of the oldest delivery that is pending; 0 without one. */
  oldestSeconds: number;
}

export async function countBacklog(db: Db): Promise<Backlog> {
  const { rows } = await sql<Backlog>`
    select count(*) filter (where status = 'pending') as pending,
           count(*) filter (where status = 'dead') as dead,
           coalesce(extract(epoch from now() - min(created_at) filter (where status = 'pending')), 0)::float8
             as "oldestSeconds"
      from webhook_deliveries
     where status in ('pending', 'dead')
  `.execute(db);
  return rows[0] ?? { pending: 0, dead: 0, oldestSeconds: 0 };
}
