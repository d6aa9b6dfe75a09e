import { sql } from 'kysely';

import type { Db } from '../db/types.ts';
import type { OrderStatus } from './order-state.ts';
import type { OrderTransition } from './order.ts';

type StepRow = Omit<OrderTransition, 'from' | 'to'> & { from: string | null; to: string };

/**
 * Every step of an order, oldest first; empty when there is no such order. The first one is the order's own row, and
 * the first movement of its stock says which caller placed it.
 */
export async function listSteps(db: Db, orderId: number): Promise<OrderTransition[]> {
  const { rows } = await sql<StepRow>`
    select null as "from", 'PENDING' as "to", o.created_at as at, coalesce(placed.actor, 'unknown') as actor,
           'placed' as cause, 1::bigint as version, placed.request_id, false as refund_due, 0::smallint as position
      from orders o
      left join lateral (
        select m.actor, m.request_id
          from order_items i
          join stock_movements m on m.product_id = i.product_id and m.order_id = i.order_id and m.kind = 'reserved'
         where i.order_id = o.id
         limit 1
      ) placed on true
     where o.id = ${orderId}
    union all
    select from_status, to_status, at, actor, cause, version, request_id, refund_due, position
      from order_steps
     where order_id = ${orderId}
     order by version, position
  `.execute(db);
  return rows.map(({ from, to, at, actor, cause, version, request_id, refund_due }) => ({
    // Written by order-transition.tx.ts alone.
    from: from as OrderStatus | null,
    to: to as OrderStatus,
    at,
    actor,
    cause,
    version,
    request_id,
    refund_due,
  }));
}
