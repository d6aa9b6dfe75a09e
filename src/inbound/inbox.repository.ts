import { type RawBuilder, sql } from 'kysely';

import type { Db } from '../db/types.ts';
import type { PageRequest } from '../lib/page.ts';
import type { OrderStatus } from '../orders/order-state.ts';
import { type ReviewReason, reviewReasons } from '../payments/payment-rules.ts';
import { type InboundOutcome, type InboxFilter, showBody, type Verdict } from './inbox.ts';
import type { InboundDelivery } from './inbox.schemas.ts';
import type { SignatureScheme } from './webhook-signature.ts';

/** A page shows the beginning of each body, so that its size is bounded; one delivery shows all that is kept. */
const LIST_BODY_BYTES = 4096;
const WHOLE_BODY_BYTES = 1_000_000;

/**
 * How far ids and times of inbound deliveries may be apart: one that was refused waits in memory while the
 * database is away, and is stored with the time of its arrival.
 */
const TIME_SLACK = '1 day';

/** The answer's fields but the body, whose bytes it shows; words that the table's checks limit are text here. */
type InboxRow = Omit<InboundDelivery, Limited | `raw_body${string}`> & {
  [field in Limited]: field extends 'verdict' | 'outcome' ? string : string | null;
} & { body: Buffer; body_bytes: number };
type Limited = 'verdict' | 'scheme' | 'outcome' | 'new_status';

function rowToInboundDelivery({ body, body_bytes, ...row }: InboxRow): InboundDelivery {
  return {
    ...row,
    // The checks of the table let nothing else in.
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
  const { rows } = await sql<InboxRow>`
    ${shown(LIST_BODY_BYTES)}
     where ${sql.join(conditionsOf(filter), sql` and `)} ${after}
     order by id ${direction} limit ${page.limit + 1} offset ${page.skip}
  `.execute(db);
  return rows.map(rowToInboundDelivery);
}

function afterId(sort: PageRequest['sort'], id: number): RawBuilder<unknown> {
  return sort === 'id' ? sql`and id > ${id}` : sql`and id < ${id}`;
}

export async function findInboundDelivery(db: Db, id: number): Promise<InboundDelivery | undefined> {
  const { rows } = await sql<InboxRow>`${shown(WHOLE_BODY_BYTES)} where id = ${id}`.execute(db);
  return rows[0] && rowToInboundDelivery(rows[0]);
}

function shown(bodyBytes: number): RawBuilder<unknown> {
  return sql`
    select id, verdict, scheme, outcome, reason, detail, new_status, case verdict when 'valid' then identity end as identity,
           event_type, order_id, unsigned_event_id, deliveries, received_at,
           coalesce(last_delivered_at, received_at) as last_delivered_at, request_id,
           substring(raw_body from 1 for ${bodyBytes}::int) as body,
           coalesce(body_bytes, octet_length(raw_body)) as body_bytes
      from inbound_deliveries`;
}

/** What is rare is written out, so that the plan for it can use the indexes of what is rare. */
function conditionsOf(filter: InboxFilter): RawBuilder<unknown>[] {
  const { outcome, verdict, event_type, order_id, event_id, received_from, received_to } = filter;
  const conditions = [sql`true`];
  if (outcome !== undefined) conditions.push(sql`outcome = ${outcome}`);
  if (outcome !== undefined && outcome !== 'processed') conditions.push(sql`outcome <> 'processed'`);
  if (verdict !== undefined) conditions.push(sql`verdict = ${verdict}`);
  if (verdict !== undefined && verdict !== 'valid') {
    conditions.push(sql`outcome = 'refused' and outcome <> 'processed'`);
  }
  if (event_type !== undefined) conditions.push(sql`event_type = ${event_type}`);
  if (event_type !== undefined && event_type !== 'payment.succeeded') {
    conditions.push(sql`event_type <> 'payment.succeeded'`);
  }
  if (order_id !== undefined) conditions.push(sql`order_id = ${order_id}`);
  if (event_id !== undefined) {
    conditions.push(
      sql`identity in (${`event:${event_id}`}, ${`webhook:${event_id}`}, ${`stripe:${event_id}`})`,
    );
  }
  if (received_from !== undefined) {
    conditions.push(
      sql`received_at >= ${received_from}`,
      sql`id >= inbound_delivery_first_id(${received_from}, inbound_delivery_id_near(${received_from}::timestamptz - ${TIME_SLACK}::interval) - 100)`,
    );
  }
  if (received_to !== undefined) {
    conditions.push(
      sql`received_at < ${received_to}`,
      sql`id < inbound_delivery_end_id(${received_to}, inbound_delivery_id_near(${received_to}::timestamptz + ${TIME_SLACK}::interval))`,
    );
  }
  return conditions;
}
