import { sql } from 'kysely';

import { textArray } from '../db/pg-array.ts';
import type { Db } from '../db/types.ts';
import type { PaymentsAudit } from './payment-audit.schemas.ts';
import { settlingReasons } from './payment-rules.ts';

/**
 * Holds the sums of every order against the ledger, and what is held for it against what should be. One statement, so one
 * snapshot: a payment commits with its effect, and is seen with all of it or not at all. Nothing is locked.
 *
 * An order drifts when its sums are not those of its rows; when more or less is held than should be, and neither an open
 * exception nor a due refund says so, nor has a person accepted it; or when one of them says so and nothing differs.
 * @param listed how many drifts are listed at most, the largest first; the sums are over all
 */
export async function auditPayments(db: Db, listed: number): Promise<PaymentsAudit> {
  const { rows } = await sql<PaymentsAudit>`
    with ledger as (
      select order_id, coalesce(sum(amount) filter (where kind = 'captured'), 0) as paid,
             coalesce(sum(amount) filter (where kind = 'refunded'), 0) as refunded
        from payments
       group by order_id
    ), open as (
      select order_id, count(*) as exceptions
        from payment_exceptions
       where status = 'OPEN' and reason = any(${textArray(settlingReasons)}::text[])
       group by order_id
    ), sums as (
      select coalesce(o.id, l.order_id) as order_id, coalesce(o.amount_paid, 0) as paid,
             coalesce(o.amount_refunded, 0) as refunded, coalesce(l.paid, 0) as paid_ledger,
             coalesce(l.refunded, 0) as refunded_ledger,
             greatest(coalesce(l.paid, 0), case when o.paid_by_hand then o.total else 0 end) - coalesce(l.refunded, 0)
               as held,
             case when o.status in ('PAID', 'SHIPPED') then o.total else 0 end as due,
             coalesce(o.accepted_difference, 0) as accepted, coalesce(o.refund_due, false) as refund_due,
             coalesce(o.status, '') as status, coalesce(open.exceptions, 0) as open_exceptions
        from orders o
        full join ledger l on l.order_id = o.id
        left join open on open.order_id = o.id
    ), told as (
      select *, abs(paid - paid_ledger) + abs(refunded - refunded_ledger) as drift_sums,
             case when held - due <> accepted and not refund_due and open_exceptions = 0 then abs(held - due - accepted)
                  when held - due = accepted and (refund_due or open_exceptions > 0) then greatest(abs(accepted), 0.01)
                  when refund_due and (status <> 'CANCELED' or held <= 0) then greatest(abs(held), 0.01)
                  else 0 end as drift_untold
        from sums
    ), drifts as (
      select *, ((drift_sums + drift_untold) * 100)::bigint as drift_cents from told where drift_sums + drift_untold > 0
    ), largest as (
      select * from drifts order by drift_cents desc, order_id limit ${listed}
    )
    select now()::timestamptz(3) as checked_at,
           (select count(*) from orders) as orders,
           (select coalesce(sum(drift_cents), 0)::bigint from drifts) as drift_cents,
           (select count(*) from drifts) as drifting_orders,
           (select coalesce(json_agg(json_build_object(
                     'order_id', order_id,
                     'amount_paid', json_build_object('stored', paid, 'ledger', paid_ledger),
                     'amount_refunded', json_build_object('stored', refunded, 'ledger', refunded_ledger),
                     'held', held, 'due', due, 'accepted', accepted, 'refund_due', refund_due,
                     'open_exceptions', open_exceptions, 'drift_cents', drift_cents
                   ) order by drift_cents desc, order_id), '[]')
              from largest) as drifts
  `.execute(db);
  const [audit] = rows;
  if (audit === undefined) throw new Error('an aggregate without a group returned no row');
  return audit;
}
