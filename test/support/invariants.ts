import { expect } from 'vitest';

import type { TestDatabase } from './database.ts';

/**
 * The promise of the stock, read from the tables: every counter is what its ledger and the open orders say, the running
 * balances of the ledger are unbroken, every order has its movements and its events.
 */
export async function expectStockAddsUp(database: Pick<TestDatabase, 'query'>): Promise<void> {
  expect(await database.query(DRIFT), 'counters against ledger and open orders').toEqual([]);
  expect(await database.query(BROKEN_BALANCE), 'running balances of the ledger').toEqual([]);
  expect(await database.query(WRONG_EFFECTS), 'movements against the states of orders').toEqual([]);
  expect(await database.query(WRONG_EVENTS), 'events against the versions of orders').toEqual([]);
  expect(await database.query(WRONG_TIMES), 'payments and expiries against the times of orders').toEqual([]);
}

const DRIFT = `
  select p.id, p.on_hand, p.reserved, m.on_hand as ledger_on_hand, m.reserved as ledger_reserved, o.reserved as ordered
    from products p
    cross join lateral (
      select coalesce(sum(delta) filter (where kind in ('received', 'adjusted', 'shipped')), 0) as on_hand,
             coalesce(sum(delta) filter (where kind in ('reserved', 'released', 'shipped')), 0) as reserved
        from stock_movements where product_id = p.id
    ) m
    cross join lateral (
      select coalesce(sum(i.quantity), 0) as reserved
        from order_items i join orders o on o.id = i.order_id
       where i.product_id = p.id and o.status in ('PENDING', 'PAID')
    ) o
   where (p.on_hand, p.reserved, p.reserved) is distinct from (m.on_hand, m.reserved, o.reserved)
      or p.reserved < 0 or p.reserved > p.on_hand`;

const BROKEN_BALANCE = `
  select * from (
    select product_id, id, on_hand_after, reserved_after,
           sum(case when kind in ('received', 'adjusted', 'shipped') then delta else 0 end) over running as on_hand,
           sum(case when kind in ('reserved', 'released', 'shipped') then delta else 0 end) over running as reserved
      from stock_movements
    window running as (partition by product_id order by id)
  ) ledger
  where (on_hand_after, reserved_after) is distinct from (on_hand, reserved)`;

const WRONG_EFFECTS = `
  select o.id, o.status, i.product_id, m.kinds
    from orders o
    join order_items i on i.order_id = o.id
    cross join lateral (
      select coalesce(string_agg(kind, ',' order by id), '') as kinds
        from stock_movements where order_id = o.id and product_id = i.product_id
    ) m
   where m.kinds <> case o.status
           when 'CANCELED' then 'reserved,released' when 'SHIPPED' then 'reserved,shipped' else 'reserved' end`;

const WRONG_EVENTS = `
  select o.id, o.status, o.version, e.types
    from orders o
    cross join lateral (
      select string_agg(type, ',' order by id) filter (where type like 'order.%') as types,
             max(aggregate_version) as version
        from events where aggregate_type = 'order' and aggregate_id = o.id
    ) e
   where e.version is distinct from o.version
      or e.types is distinct from case o.status
           when 'PENDING' then 'order.created'
           when 'PAID' then 'order.created,order.paid'
           when 'SHIPPED' then 'order.created,order.paid,order.shipped'
           else e.types end
      or (o.status = 'CANCELED' and e.types not in
           ('order.created,order.canceled', 'order.created,order.expired', 'order.created,order.paid,order.canceled'))`;

/** An order is paid before its time is up, and expires when it is: the times that are written say so. */
const WRONG_TIMES = `
  select o.id, o.expires_at, e.type, e.occurred_at
    from orders o
    join events e on e.aggregate_type = 'order' and e.aggregate_id = o.id
   where (e.type = 'order.paid' and e.occurred_at >= o.expires_at)
      or (e.type = 'order.expired' and (o.expires_at is null or e.occurred_at < o.expires_at))`;
