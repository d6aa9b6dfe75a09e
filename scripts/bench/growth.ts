import { setTimeout as sleep } from 'node:timers/promises';

import type { Bench } from './bench.ts';
import { compare, GROWTH, p50, type Row } from './goals.ts';
import type { LoadRequest } from './http-load.ts';
import type { Measurements } from './measure.ts';
import { orderRequest, readRequest } from './requests.ts';
import { Rounds } from './rounds.ts';
import { Shop } from './shop.ts';

/*
 * What data costs: two services side by side on one PostgreSQL, one with next to no orders, one with millions, asked the
 * same in turn. The orders are written by SQL in sets, as the service would have written them one by one.
 */
const PRODUCTS = 200;
/** Enough that reads by id have something to read. */
const FEW_ORDERS = 1000;
const READ_IDS = 1000;
const CHUNK = 200_000;
const CONNECTIONS = [1, 50] as const;

export interface GrowthOutcome {
  orders: number;
  rows: Row[];
  measurements: Measurements;
  faults: string[];
}

const SIDES = ['empty', 'filled'] as const;
const WORKS = ['order', 'read order', 'read product'] as const;

export async function measureGrowth(
  bench: Bench,
  options: { orders: number; rounds: number; measureMs: number },
): Promise<GrowthOutcome> {
  const { orders, measureMs } = options;
  const shops = [await open(bench, 'empty', FEW_ORDERS), await open(bench, 'filled', orders)] as const;
  const steps = WORKS.flatMap((work) =>
    CONNECTIONS.flatMap((connections) =>
      shops.map((shop, side) =>
        shop.step(`${SIDES[side]}.${work}.${connections}`, () => ({
          connections,
          requests: requestsFor(work, shop),
        })),
      ),
    ),
  );
  const rounds = new Rounds(bench, { steps, measureMs, client: shops[0].client });
  await rounds.warmUp();
  await rounds.run(options.rounds);
  for (const { service } of shops) await service.stop();
  const rows = WORKS.flatMap((work) =>
    CONNECTIONS.flatMap((connections) =>
      compare(rounds.measurements, GROWTH, {
        label: `${work}, ${connections} conn.`,
        peer: `empty.${work}.${connections}`,
        service: `filled.${work}.${connections}`,
        figure: p50,
      }),
    ),
  );
  return { orders, rows, measurements: rounds.measurements, faults: rounds.faults };
}

async function open(bench: Bench, name: string, orders: number): Promise<Shop> {
  const shop = await Shop.open(bench, { name, products: PRODUCTS });
  await fill(shop, orders, bench.say);
  return shop;
}

function requestsFor(work: (typeof WORKS)[number], { productIds, orders }: Shop): LoadRequest[] {
  if (work === 'order') return productIds.slice(0, 50).map(orderRequest);
  if (work === 'read product') return productIds.map((id) => readRequest(`/products/${id}`));
  // Spread evenly over all there are, so that old pages are read as well as new ones.
  return Array.from({ length: READ_IDS }, (_, index) =>
    readRequest(`/orders/${Math.ceil(((index + 1) * orders) / READ_IDS)}`),
  );
}

/**
 * Order n names product ((n - 1) mod products) + 1, as its ((n - 1) div products) + 1-th order, so every running balance
 * is known without looking at the rows before. Each order is of one piece at 19.99.
 */
const STATEMENTS = [
  `insert into orders (id, total, created_at, updated_at)
   select n, 19.99, at, at
     from generate_series($1::bigint, $2::bigint) as n,
          lateral (select now() - make_interval(secs => ($3::bigint - n) * 0.5) as at) as t`,
  `insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
   select n, 0, p.id, p.sku, 1, 19.99
     from generate_series($1::bigint, $2::bigint) as n
     join products p on p.id = ($4::bigint[])[1 + (n - 1) % cardinality($4::bigint[])]
    where $3::bigint >= n
    order by n`,
  `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor)
   select p.id, 'reserved', 1, p.on_hand, (n - 1) / cardinality($4::bigint[]) + 1, n, 'bench'
     from generate_series($1::bigint, $2::bigint) as n
     join products p on p.id = ($4::bigint[])[1 + (n - 1) % cardinality($4::bigint[])]
    where $3::bigint >= n
    order by n`,
  `insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor)
   select 'order.created', 'order', n, 1, 'bench' from generate_series($1::bigint, $2::bigint) as n`,
];

const COUNTERS = `
  update products p
     set reserved = s.sold, version = p.version + s.sold, updated_at = now()
    from (select product_id, count(*) as sold from order_items group by product_id) s
   where s.product_id = p.id`;

async function fill(shop: Shop, orders: number, say: Bench['say']): Promise<void> {
  const { client, productIds } = shop;
  for (let first = 1; first <= orders; first += CHUNK) {
    const last = Math.min(orders, first + CHUNK - 1);
    const values = [first, last, orders, productIds];
    await client.query('begin');
    for (const statement of STATEMENTS) {
      const used = [...statement.matchAll(/\$(\d)/g)].map((match) => Number(match[1]));
      await client.query(statement, values.slice(0, Math.max(...used)));
    }
    await client.query('commit');
    say(`filling   ${last.toLocaleString('en-US')} of ${orders.toLocaleString('en-US')} orders`);
  }
  await client.query(COUNTERS);
  await client.query(`select setval('orders_id_seq', $1)`, [orders]);
  // What autovacuum would have done by the time that a shop has so many orders; and its writes must not be in the way.
  await client.query('vacuum (analyze)');
  await client.query('checkpoint');
  await sleep(1000);
  shop.orders = orders;
}
