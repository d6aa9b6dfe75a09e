import { type RawBuilder, sql } from 'kysely';

import type { Db } from '../db/types.ts';
import type { PageRequest } from '../lib/page.ts';
import type { OrderStatus } from '../orders/order-state.ts';
import { type ReviewReason, reviewReasons } from '../payments/payment-rules.ts';
import {
  type InboundOutcome,
  type InboundDelivery,
  type InboxFilter,
  showBody,
  type Verdict,
} from './inbox.ts';
import { isApplied } from './webhook-refusal.repository.ts';
import type { SignatureScheme } from './webhook-signature.ts';

/** A page shows the beginning of each body, so that its size is bounded; one delivery shows all that is kept. */
const LIST_BODY_BYTES = 4096;
const WHOLE_BODY_BYTES = 1_000_000;

/**
 * How far ids and times of payment events may be apart (0003): a delivery that was refused waits in memory while the
 * database is away, and is stored with the time of its arrival.
 */
const TIME_SLACK = '1 day';

interface InboxRow {
  id: number;
  verdict: string;
  scheme: string | null;
  outcome: string;
  reason: string | null;
  detail: string | null;
  new_status: string | null;
  identity: string | null;
  event_type: string | null;
  order_id: number | null;
  unsigned_event_id: string | null;
  deliveries: number;
  received_at: string;
  last_delivered_at: string;
  request_id: string | null;
  body: Buffer;
  body_bytes: number;
}

function rowToInboundDelivery({ body, body_bytes, ...row }: InboxRow): InboundDelivery {
  return {
    ...row,
    // The checks of both tables let nothing else in.
    verdict: row.verdict as Verdict,
    scheme: row.scheme as SignatureScheme | null,
    outcome: row.outcome as InboundOutcome,
    new_status: row.new_status as OrderStatus | null,
    detail: row.outcome === 'review' ? reviewReasons[row.reason as ReviewReason] : row.detail,
    ...showBody(body, body_bytes),
  };
}

export async function listInboundDeliveries(
  db: Db,
  filter: InboxFilter,
  page: PageRequest,
): Promise<InboundDelivery[]> {
  const direction = page.sort === 'id' ? sql`asc` : sql`desc`;
  const after = page.afterId === undefined ? sql`` : afterId(page.sort, page.afterId);
  // Each half is read in the order of its own key, and no further than the page can reach.
  const reach = sql`order by id ${direction} limit ${page.skip + page.limit + 1}`;
  const halves = halvesOf(filter, LIST_BODY_BYTES).map((half) => sql`(${half} ${after} ${reach})`);
  if (halves.length === 0) return [];
  const { rows } = await sql<InboxRow>`
    select * from (${sql.join(halves, sql` union all `)}) as inbox
     order by id ${direction} limit ${page.limit + 1} offset ${page.skip}
  `.execute(db);
  return rows.map(rowToInboundDelivery);
}

function afterId(sort: PageRequest['sort'], id: number): RawBuilder<unknown> {
  return sort === 'id' ? sql`and id > ${id}` : sql`and id < ${id}`;
}

export async function findInboundDelivery(db: Db, id: number): Promise<InboundDelivery | undefined> {
  const halves = [accepted(NO_FILTER, WHOLE_BODY_BYTES), refused(NO_FILTER, WHOLE_BODY_BYTES)];
  const { rows } = await sql<InboxRow>`
    ${sql.join(
      halves.map((half) => sql`${half} and id = ${id}`),
      sql` union all `,
    )}
  `.execute(db);
  return rows[0] && rowToInboundDelivery(rows[0]);
}

const NO_FILTER: InboxFilter = {
  outcome: undefined,
  verdict: undefined,
  event_type: undefined,
  order_id: undefined,
  event_id: undefined,
  received_from: undefined,
  received_to: undefined,
};

/** The halves of the inbox in which a filter can find anything. */
function halvesOf(filter: InboxFilter, bodyBytes: number): RawBuilder<unknown>[] {
  const { outcome, verdict } = filter;
  const mayBeAccepted = outcome !== 'failed' && outcome !== 'refused' && (verdict ?? 'valid') === 'valid';
  const mayBeRefused = outcome === undefined || outcome === 'failed' || outcome === 'refused';
  return [
    ...(mayBeAccepted ? [accepted(filter, bodyBytes)] : []),
    ...(mayBeRefused ? [refused(filter, bodyBytes)] : []),
  ];
}

function accepted(filter: InboxFilter, bodyBytes: number): RawBuilder<unknown> {
  const { outcome, event_type, received_from, received_to } = filter;
  const conditions = commonConditions(filter);
  // Written out, so that the plan for what is rare can use the indexes of what is rare.
  if (outcome !== undefined) conditions.push(sql`outcome = ${outcome}`);
  if (outcome !== undefined && outcome !== 'processed') conditions.push(sql`outcome <> 'processed'`);
  if (event_type !== undefined && event_type !== 'payment.succeeded') {
    conditions.push(sql`event_type <> 'payment.succeeded'`);
  }
  if (received_from !== undefined) {
    conditions.push(
      sql`id >= payment_event_first_id(${received_from}, payment_event_id_near(${received_from}::timestamptz - ${TIME_SLACK}::interval) - 100)`,
    );
  }
  if (received_to !== undefined) {
    conditions.push(
      sql`id < payment_event_end_id(${received_to}, payment_event_id_near(${received_to}::timestamptz + ${TIME_SLACK}::interval))`,
    );
  }
  return sql`
    select id, 'valid' as verdict, scheme, outcome, reason, null as detail, new_status, identity, event_type, order_id,
           unsigned_event_id, deliveries, received_at, coalesce(last_delivered_at, received_at) as last_delivered_at,
           request_id, substring(raw_body from 1 for ${bodyBytes}::int) as body, octet_length(raw_body) as body_bytes
      from payment_events
     where ${sql.join(conditions, sql` and `)}`;
}

function refused(filter: InboxFilter, bodyBytes: number): RawBuilder<unknown> {
  const { outcome, verdict, event_id } = filter;
  const conditions = commonConditions(filter);
  if (verdict !== undefined) conditions.push(sql`verdict = ${verdict}`);
  if (event_id !== undefined || outcome === 'failed') conditions.push(sql`verdict = 'valid'`);
  if (outcome === 'refused') conditions.push(sql`verdict <> 'valid'`);
  return sql`
    select id, verdict, scheme, case verdict when 'valid' then 'failed' else 'refused' end as outcome, reason, detail,
           null as new_status, case verdict when 'valid' then identity end as identity, event_type, order_id,
           unsigned_event_id, deliveries, received_at, last_delivered_at,
           request_id, substring(raw_body from 1 for ${bodyBytes}::int) as body, body_bytes
      from webhook_refusals
     where not (verdict = 'valid' and ${isApplied})
       and ${sql.join(conditions, sql` and `)}`;
}

function commonConditions(filter: InboxFilter): RawBuilder<unknown>[] {
  const { event_type, order_id, event_id, received_from, received_to } = filter;
  const conditions = [sql`true`];
  if (event_type !== undefined) conditions.push(sql`event_type = ${event_type}`);
  if (order_id !== undefined) conditions.push(sql`order_id = ${order_id}`);
  if (event_id !== undefined) {
    conditions.push(sql`identity in (${`event:${event_id}`}, ${`webhook:${event_id}`})`);
  }
  if (received_from !== undefined) conditions.push(sql`received_at >= ${received_from}`);
  if (received_to !== undefined) conditions.push(sql`received_at < ${received_to}`);
  return conditions;
}
