import { type SelectQueryBuilder, sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import { plainArray, textArray } from '../db/pg-array.ts';
import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PageRequest } from '../lib/page.ts';
import type {
  ExceptionFilter,
  ExceptionResolution,
  ExceptionStatus,
  Resolution,
} from './payment-exception.ts';
import type { PaymentException } from './payment-exception.schemas.ts';
import type { ReviewReason } from './payment-rules.ts';

const columns = [
  'id',
  'payment_event_id',
  'order_id',
  'reason',
  'detail',
  'amount',
  'status',
  'resolution',
  'note',
  'resolved_by',
  'resolved_at',
  'version',
  'created_at',
] as const;

type ExceptionRow = Omit<PaymentException, 'reason' | 'amount' | 'status' | 'resolution'> & {
  reason: string;
  amount: string | null;
  status: string;
  resolution: string | null;
};

function rowToException(row: ExceptionRow): PaymentException {
  return {
    ...row,
    // Written by `openExceptions` alone; the checks of the table let no other status or resolution in.
    reason: row.reason as ReviewReason,
    amount: row.amount === null ? null : Number(row.amount),
    status: row.status as ExceptionStatus,
    resolution: row.resolution as ExceptionResolution | null,
  };
}

export interface NewPaymentException {
  /** Null when a person's call opens it. */
  paymentEventId: number | null;
  orderId: number;
  reason: ReviewReason;
  detail: string;
  amountCents: number | undefined;
}

export async function insertPaymentExceptions(
  tx: Tx,
  exceptions: readonly NewPaymentException[],
): Promise<PaymentException[]> {
  if (exceptions.length === 0) return [];
  // Arrays, so that the text is the same for any number.
  const amounts = exceptions.map(({ amountCents }) =>
    amountCents === undefined ? 'NULL' : centsToDecimal(amountCents),
  );
  const { rows } = await sql<ExceptionRow>`
    insert into payment_exceptions (payment_event_id, order_id, reason, detail, amount)
    select e.payment_event_id, e.order_id, e.reason, e.detail, e.amount
      from unnest(
        ${plainArray(exceptions.map((e) => e.paymentEventId ?? 'NULL'))}::bigint[],
        ${plainArray(exceptions.map((e) => e.orderId))}::bigint[],
        ${textArray(exceptions.map((e) => e.reason))}::text[],
        ${textArray(exceptions.map((e) => e.detail))}::text[],
        ${plainArray(amounts)}::numeric[]
      ) with ordinality as e (payment_event_id, order_id, reason, detail, amount, position)
     order by e.position
    returning ${sql.join(columns.map((column) => sql.ref(column)))}
  `.execute(tx);
  return rows.map(rowToException);
}

export async function findException(db: Db, id: number): Promise<PaymentException | undefined> {
  const row = await db
    .selectFrom('payment_exceptions')
    .select(columns)
    .where('id', '=', id)
    .executeTakeFirst();
  return row && rowToException(row);
}

/** Reads an exception and keeps others from resolving it until the transaction ends. */
export async function lockException(tx: Tx, id: number): Promise<PaymentException | undefined> {
  const row = await tx
    .selectFrom('payment_exceptions')
    .select(columns)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row && rowToException(row);
}

export async function listExceptions(
  db: Db,
  filter: ExceptionFilter,
  page: PageRequest,
): Promise<PaymentException[]> {
  const query = filtered(db.selectFrom('payment_exceptions').select(columns), filter);
  const rows = await onPage(query, 'payment_exceptions', page).execute();
  return rows.map(rowToException);
}

function filtered<O>(
  query: SelectQueryBuilder<DB, 'payment_exceptions', O>,
  filter: ExceptionFilter,
): typeof query {
  const { status, reason, order_id, created_from, created_to } = filter;
  let result = query;
  // Written out, so that the plan for open ones can use the index of open ones.
  if (status !== undefined) result = result.where('status', '=', sql.lit(status));
  if (reason !== undefined) result = result.where('reason', '=', reason);
  if (order_id !== undefined) result = result.where('order_id', '=', order_id);
  if (created_from !== undefined) result = result.where('created_at', '>=', created_from);
  if (created_to !== undefined) result = result.where('created_at', '<', created_to);
  return result;
}

export interface OpenExceptions {
  reason: string;
  open: number;
  oldestSeconds: number;
}

/** How many exceptions of each reason are open, and for how long the oldest of them has been. */
export async function countOpenExceptions(db: Db): Promise<OpenExceptions[]> {
  const { rows } = await sql<OpenExceptions>`
    select reason, count(*) as open, extract(epoch from now() - min(created_at))::float8 as "oldestSeconds"
      from payment_exceptions
     where status = 'OPEN'
     group by reason
  `.execute(db);
  return rows;
}

/** Closes the open exceptions of orders whose sums agree again. The orders are locked, so none is opened meanwhile. */
export async function settleExceptions(
  tx: Tx,
  settled: readonly { orderId: number; actor: string }[],
  { reasons, note }: { reasons: readonly ReviewReason[]; note: string },
): Promise<PaymentException[]> {
  if (settled.length === 0) return [];
  const { rows } = await sql<ExceptionRow>`
    with settling as materialized (
      select e.id, s.actor
        from unnest(
          ${plainArray(settled.map(({ orderId }) => orderId))}::bigint[],
          ${textArray(settled.map(({ actor }) => actor))}::text[]
        ) as s (order_id, actor)
        join payment_exceptions e using (order_id)
       where e.status = 'OPEN' and e.reason = any(${textArray(reasons)}::text[])
       order by e.id
         for update of e
    )
    update payment_exceptions e
       set status = 'RESOLVED', resolution = 'settled', note = ${note}, resolved_by = settling.actor, resolved_at = now(),
           version = e.version + 1
      from settling
     where e.id = settling.id
    returning ${sql.join(columns.map((column) => sql.ref(`e.${column}`)))}
  `.execute(tx);
  return rows.map(rowToException);
}

/** How many exceptions of an order are open, but for one. */
export async function countOtherOpen(
  tx: Tx,
  { id, order_id }: PaymentException,
  reasons: readonly ReviewReason[],
): Promise<number> {
  const { count } = await tx
    .selectFrom('payment_exceptions')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('order_id', '=', order_id)
    .where('id', '<>', id)
    .where('status', '=', 'OPEN')
    .where('reason', '=', sql<string>`any(${textArray(reasons)}::text[])`)
    .executeTakeFirstOrThrow();
  return count;
}

export async function resolveExceptions(
  tx: Tx,
  ids: readonly number[],
  { resolution, note }: { resolution: Resolution; note: string | null },
  caller: Caller,
): Promise<PaymentException[]> {
  if (ids.length === 0) return [];
  const rows = await tx
    .updateTable('payment_exceptions')
    .set({
      status: 'RESOLVED',
      resolution,
      note,
      resolved_by: caller.actor,
      resolved_at: sql`now()`,
      version: sql`version + 1`,
    })
    .where('id', '=', sql<number>`any(${plainArray(ids)}::bigint[])`)
    .returning(columns)
    .execute();
  return rows.map(rowToException);
}
