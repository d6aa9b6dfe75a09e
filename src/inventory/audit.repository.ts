import { sql } from 'kysely';

import type { Db } from '../db/types.ts';
import type { InventoryAudit } from './audit.ts';

/**
 * Holds the counters of every product against its ledger and against the open orders that name it. One statement, so
 * one snapshot: a transaction that changes a counter also commits its movement and its order, and the snapshot has all of
 * it or nothing. Nothing is locked.
 *
 * A product that is gone counts as 0, which is what its ledger must come to; an order may name none that is gone.
 * @param listed how many drifts are listed at most, the largest first; the sums are over all
 */
export async function auditInventory(db: Db, listed: number): Promise<InventoryAudit> {
  const { rows } = await sql<InventoryAudit>`
    with ledger as (
      select product_id,
             coalesce(sum(delta) filter (where kind in ('received', 'adjusted', 'shipped')), 0) as on_hand,
             coalesce(sum(delta) filter (where kind in ('reserved', 'released', 'shipped')), 0) as reserved
        from stock_movements
       group by product_id
    ), ordered as (
      select i.product_id, sum(i.quantity) as reserved
        from orders o
        join order_items i on i.order_id = o.id
       where o.status in ('PENDING', 'PAID')
       group by i.product_id
    ), counters as (
      select coalesce(p.id, l.product_id, o.product_id) as product_id, p.sku,
             coalesce(p.on_hand, 0) as on_hand, coalesce(l.on_hand, 0) as on_hand_ledger,
             coalesce(p.reserved, 0) as reserved, coalesce(l.reserved, 0) as reserved_ledger,
             coalesce(o.reserved, 0) as reserved_orders
        from products p
        full join ledger l on l.product_id = p.id
        full join ordered o on o.product_id = coalesce(p.id, l.product_id)
    ), drifts as (
      select *, abs(on_hand - on_hand_ledger) + abs(reserved - reserved_ledger) + abs(reserved - reserved_orders)
                as drift_units
        from counters
       where on_hand <> on_hand_ledger or reserved <> reserved_ledger or reserved <> reserved_orders
    ), largest as (
      select * from drifts order by drift_units desc, product_id limit ${listed}
    )
    select now()::timestamptz(3) as checked_at,
           (select count(*) from products) as products,
           (select coalesce(sum(drift_units), 0)::bigint from drifts) as drift_units,
           (select count(*) from drifts) as drifting_products,
           (select coalesce(json_agg(json_build_object(
                     'product_id', product_id, 'sku', sku,
                     'on_hand', json_build_object('stored', on_hand, 'ledger', on_hand_ledger),
                     'reserved', json_build_object(
                       'stored', reserved, 'ledger', reserved_ledger, 'orders', reserved_orders
                     ),
                     'drift_units', drift_units
                   ) order by drift_units desc, product_id), '[]')
              from largest) as drifts
  `.execute(db);
  const [audit] = rows;
  if (audit === undefined) throw new Error('an aggregate without a group returned no row');
  return audit;
}
