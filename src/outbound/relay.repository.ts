import { sql } from 'kysely';

import { plainArray, textArray } from '../db/pg-array.ts';
import type { Db, Tx } from '../db/types.ts';
import type { StoredSecrets } from './endpoint.repository.ts';

/** A delivery that this relay may send until its lease ends. */
export interface Claim extends StoredSecrets {
  readonly id: number;
  readonly endpointId: number;
  readonly url: string;
  /** The number of this claim of the delivery: only the latest may write the outcome. */
  readonly lease: number;
  /** Before this one. */
  readonly tries: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly body: string;
  readonly traceparent: string | null;
  /** The endpoint was failing. */
  readonly failing: boolean;
}

export interface Room {
  /** Endpoints of which deliveries are under way here, with their number. Others have none. */
  readonly underWay: ReadonlyMap<number, number>;
  /** Deliveries of one endpoint that may be under way. */
  readonly perEndpoint: number;
  /** The same for an endpoint that fails. */
  readonly perFailing: number;
}

/**
 * Claims deliveries that are due, as many as there is room for at each endpoint. The statement commits by itself, so nothing is
 * sent before the claim is safe. Of an aggregate at an endpoint that orders them, only the first that is pending is claimed.
 */
export async function claimDeliveries(db: Db, room: Room, leaseMs: number): Promise<Claim[]> {
  const { underWay, perEndpoint, perFailing } = room;
  const { rows } = await sql<Claim>`
    with busy as (
      select * from unnest(
        ${plainArray([...underWay.keys()])}::bigint[], ${plainArray([...underWay.values()])}::integer[]
      ) as b (endpoint_id, deliveries)
    ), claimed as materialized (
      select d.id
        from webhook_endpoints w
        left join busy b on b.endpoint_id = w.id
        cross join lateral (
          select d.id
            from webhook_deliveries d
           where d.endpoint_id = w.id and d.status = 'pending' and d.due_at <= now()
             and (w.ordering = 'none' or not exists (
               select from webhook_deliveries p
                where p.endpoint_id = d.endpoint_id and p.aggregate_type = d.aggregate_type
                  and p.aggregate_id = d.aggregate_id and p.status = 'pending' and p.id < d.id
             ))
           order by d.due_at, d.id
           limit greatest(0, case when w.failing_since is null then ${perEndpoint}::integer else ${perFailing}::integer end
                             - coalesce(b.deliveries, 0))
             for update skip locked
        ) d
       where w.status = 'enabled' and w.deleted_at is null
    )
    update webhook_deliveries d
       set due_at = now() + ${leaseMs} * interval '1 millisecond', lease = d.lease + 1
      from claimed c, webhook_endpoints w, webhook_messages m
     where d.id = c.id and w.id = d.endpoint_id and m.id = d.message_id
    returning d.id, w.id as "endpointId", w.url, d.lease, d.tries, m.event_id as "eventId", m.event_type as "eventType",
              m.body, m.traceparent, w.failing_since is not null as failing, w.secret,
              case when w.secret_previous_until > now() then w.secret_previous end as secret_previous
  `.execute(db);
  return rows;
}

/** What a delivery keeps of each try. */
export interface Attempt {
  readonly at: string;
  readonly status: number | null;
  readonly duration_ms: number;
  readonly error: string | null;
  readonly response: string | null;
}

export interface Outcome {
  readonly id: number;
  readonly lease: number;
  readonly status: 'pending' | 'delivered' | 'dead';
  /** Until the next try. */
  readonly delayMs: number;
  readonly attempt: Attempt;
}

/** A whole series of tries, and some that were sent again by hand. */
const ATTEMPTS_KEPT = 15;

/**
 * Writes outcomes of deliveries whose lease is still the latest.
 * @returns the ids of those
 */
export async function settleDeliveries(tx: Tx, outcomes: readonly Outcome[]): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    update webhook_deliveries d
       set status = o.status,
           tries = d.tries + 1,
           attempts = case when jsonb_array_length(d.attempts) >= ${ATTEMPTS_KEPT} then d.attempts - 0 else d.attempts end
                      || o.attempt,
           due_at = now() + o.delay_ms * interval '1 millisecond',
           settled_at = case when o.status = 'pending' then null else now() end
      from unnest(
        ${plainArray(outcomes.map((o) => o.id))}::bigint[],
        ${plainArray(outcomes.map((o) => o.lease))}::integer[],
        ${textArray(outcomes.map((o) => o.status))}::text[],
        ${plainArray(outcomes.map((o) => o.delayMs))}::bigint[],
        ${textArray(outcomes.map((o) => JSON.stringify(o.attempt)))}::jsonb[]
      ) as o (id, lease, status, delay_ms, attempt)
     where d.id = o.id and d.lease = o.lease and d.status = 'pending'
    returning d.id
  `.execute(tx);
  return new Set(rows.map(({ id }) => id));
}

/**
 * Moves what waits behind deliveries of the same aggregate: to the time of a delivery that failed, and to now behind one that is
 * over. It only spares relays from looking in vain, and from waiting: what may be claimed is decided at the claim.
 */
export async function moveFollowers(tx: Tx, ids: readonly number[]): Promise<void> {
  await sql`
    update webhook_deliveries f
       set due_at = case when d.status = 'pending' then d.due_at else now() end
      from webhook_deliveries d
      join webhook_endpoints w on w.id = d.endpoint_id and w.ordering = 'per_aggregate'
     where d.id = any(${plainArray(ids)}::bigint[])
       and f.endpoint_id = d.endpoint_id and f.aggregate_type = d.aggregate_type and f.aggregate_id = d.aggregate_id
       and f.status = 'pending' and f.id > d.id
  `.execute(tx);
}

/** Claims of this process that it will not send: others need not wait for the end of the lease. */
export async function releaseClaims(db: Db, claims: readonly Pick<Claim, 'id' | 'lease'>[]): Promise<void> {
  if (claims.length === 0) return;
  await sql`
    update webhook_deliveries d
       set due_at = now()
      from unnest(${plainArray(claims.map((c) => c.id))}::bigint[], ${plainArray(claims.map((c) => c.lease))}::integer[])
             as c (id, lease)
     where d.id = c.id and d.lease = c.lease and d.status = 'pending'
  `.execute(db);
}
