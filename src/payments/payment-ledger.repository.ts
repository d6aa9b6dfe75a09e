import { sql } from 'kysely';

import { onPage } from '../db/page-query.ts';
import { plainArray, textArray } from '../db/pg-array.ts';
import type { Db, Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import { centsToDecimal } from '../lib/money.ts';
import type { PageRequest } from '../lib/page.ts';
import type { OrderMoney } from '../orders/order-money.ts';
import type { PaymentEntry } from './payment-rules.ts';
import type { Payment, PaymentKind } from './payment.schemas.ts';

const columns = [
  'id',
  'order_id',
  'kind',
  'amount',
  'paid_after',
  'refunded_after',
  'provider',
  'provider_payment_id',
  'payment_event_id',
  'method',
  'note',
  'actor',
  'request_id',
  'created_at',
] as const;

type PaymentRow = Omit<Payment, 'kind' | 'amount' | 'paid_after' | 'refunded_after'> & {
  kind: string;
  amount: string;
  paid_after: string;
  refunded_after: string;
};

function rowToPayment(row: PaymentRow): Payment {
  return {
    ...row,
    // payments_kind_known lets nothing else in.
    kind: row.kind as PaymentKind,
    amount: Number(row.amount),
    paid_after: Number(row.paid_after),
    refunded_after: Number(row.refunded_after),
  };
}

export interface NewPayment {
  orderId: number;
  entry: PaymentEntry;
  /** The sums of the order after it. */
  money: OrderMoney;
  provider: string;
  providerPaymentId: string | undefined;
  paymentEventId: number | null;
  method: string | null;
  note: string | null;
  caller: Caller;
}

/** @returns the rows, in the same order */
export async function insertPayments(tx: Tx, payments: readonly NewPayment[]): Promise<Payment[]> {
  if (payments.length === 0) return [];
  const { rows } = await sql<PaymentRow>`
    insert into payments
      (order_id, kind, amount, paid_after, refunded_after, provider, provider_payment_id, payment_event_id, method, note,
       actor, request_id)
    select p.order_id, p.kind, p.amount, p.paid_after, p.refunded_after, p.provider, p.provider_payment_id,
           p.payment_event_id, p.method, p.note, p.actor, p.request_id
      from unnest(
        ${plainArray(payments.map((p) => p.orderId))}::bigint[],
        ${plainArray(payments.map((p) => p.entry.kind))}::text[],
        ${plainArray(payments.map((p) => centsToDecimal(p.entry.amountCents)))}::numeric[],
        ${plainArray(payments.map((p) => centsToDecimal(p.money.paidCents)))}::numeric[],
        ${plainArray(payments.map((p) => centsToDecimal(p.money.refundedCents)))}::numeric[],
        ${textArray(payments.map((p) => p.provider))}::text[],
        ${textArray(payments.map((p) => p.providerPaymentId ?? null))}::text[],
        ${plainArray(payments.map((p) => p.paymentEventId ?? 'NULL'))}::bigint[],
        ${textArray(payments.map((p) => p.method))}::text[],
        ${textArray(payments.map((p) => p.note))}::text[],
        ${textArray(payments.map((p) => p.caller.actor))}::text[],
        ${textArray(payments.map((p) => p.caller.requestId))}::text[]
      ) with ordinality as p (order_id, kind, amount, paid_after, refunded_after, provider, provider_payment_id,
                              payment_event_id, method, note, actor, request_id, position)
     order by p.position
    returning ${sql.join(columns.map((column) => sql.ref(column)))}
  `.execute(tx);
  return rows.map(rowToPayment);
}

export async function listPayments(db: Db, orderId: number, page: PageRequest): Promise<Payment[]> {
  const query = db.selectFrom('payments').select(columns).where('order_id', '=', orderId);
  const rows = await onPage(query, 'payments', page).execute();
  return rows.map(rowToPayment);
}

/** The order whose payment a provider calls so. */
export async function findOrderOfPayment(
  db: Db,
  provider: string,
  providerPaymentId: string,
): Promise<number | undefined> {
  const row = await db
    .selectFrom('payments')
    .select('order_id')
    .where('provider', '=', provider)
    .where('provider_payment_id', '=', providerPaymentId)
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  return row?.order_id;
}

export interface Figures {
  /** The most that events have said of the whole payment. */
  whole: number;
  /** The sum of what they have said of its other refunds. */
  parts: number;
  /** What the ledger has of it. */
  counted: number;
}

/** Whether payments of this provider came for an order, and none of them is this one. */
export async function isPaidByAnother(
  tx: Tx,
  of: { orderId: number; provider: string; paymentId: string },
): Promise<boolean> {
  const rows = await tx
    .selectFrom('payments')
    .select('provider_payment_id')
    .distinct()
    .where('order_id', '=', of.orderId)
    .where('provider', '=', of.provider)
    .where('kind', '=', 'captured')
    .execute();
  return rows.length > 0 && rows.every(({ provider_payment_id }) => provider_payment_id !== of.paymentId);
}

/**
 * What was said of a provider's payment so far by events of a type, in cents, and what was counted. The order is locked, so
 * no other event of it comes in between.
 */
export async function findFigures(
  tx: Tx,
  of: { orderId: number; provider: string; type: string; paymentId: string; refundId: string | undefined },
): Promise<Figures> {
  const { rows } = await sql<Figures>`
    with said as materialized (
      select provider_refund_id, amount
        from inbound_deliveries
       where provider = ${of.provider} and provider_payment_id = ${of.paymentId} and order_id = ${of.orderId}
         and event_type = ${of.type} and outcome in ('processed', 'ignored', 'review')
         and reason is distinct from 'event_changed' and reason is distinct from 'currency_mismatch'
    )
    select (select coalesce(max(amount), 0) * 100 from said where provider_refund_id is null)::bigint as whole,
           (select coalesce(sum(amount), 0) * 100
              from (select max(amount) as amount from said
                     where provider_refund_id <> ${of.refundId ?? ''} group by provider_refund_id) parts)::bigint as parts,
           (select coalesce(sum(amount), 0) * 100 from payments
             where provider = ${of.provider} and provider_payment_id = ${of.paymentId} and order_id = ${of.orderId}
               and kind = case ${of.type} when 'payment.succeeded' then 'captured' else 'refunded' end)::bigint as counted
  `.execute(tx);
  // A select without a table has one row.
  return rows[0] as Figures;
}
