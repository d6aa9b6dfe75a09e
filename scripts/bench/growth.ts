import { setTimeout as sleep } from 'node:timers/promises';

import type pg from 'pg';

import type { ClosingStack } from '../../src/lib/shutdown.ts';
import type { Children } from '../support/children.ts';
import { connect } from '../support/postgres.ts';
import { type ServiceProcess, startService } from '../support/service-process.ts';
import type { LoadGenerator } from './load-generator.ts';
import { compare, GROWTH, type Row } from './goals.ts';
import type { LoadRequest } from './http-load.ts';
import { faultsOf, measureHttp, orderRequest, readRequest } from './measure.ts';
import type { BenchPostgres } from './postgres.ts';
import type { Measurements } from './rounds.ts';
import { checkStock, createProducts } from './service.ts';

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

export interface GrowthOptions {
  postgres: BenchPostgres;
  children: Children;
  generator: LoadGenerator;
  opened: ClosingStack;
  orders: number;
  rounds: number;
  measureMs: number;
  say: (text: string) => void;
}

export interface GrowthOutcome {
  orders: number;
  rows: Row[];
  measurements: Measurements;
  faults: string[];
}

interface Side {
  name: 'empty' | 'filled';
  service: ServiceProcess;
  client: pg.Client;
  productIds: number[];
  /** Orders there are, and so orders acknowledged. */
  orders: number;
}

export async function measureGrowth(options: GrowthOptions): Promise<GrowthOutcome> {
  const { orders, rounds, measureMs, generator, say } = options;
  const sides = [await open('empty', FEW_ORDERS, options), await open('filled', orders, options)];
  const measurements: Measurements = new Map();
  const faults: string[] = [];
  const works = ['order', 'read order', 'read product'] as const;

  const measure = async (side: Side, work: (typeof works)[number], connections: number) => {
    const requests = requestsFor(work, side);
    const run = { target: side.service, requests, connections, measureMs };
    const outcome = await measureHttp(generator, run);
    side.orders += outcome.answers['201'] ?? 0;
    const name = `${side.name}.${work}.${connections}`;
    faults.push(...faultsOf(outcome).map((fault) => `${name}: ${fault}`));
    return { name, measurement: outcome.measurement };
  };

  for (let round = 0; round <= rounds; round += 1) {
    for (const work of works) {
      for (const connections of CONNECTIONS) {
        for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
          const { name, measurement } = await measure(side, work, connections);
          // The first round is the warm-up of both.
          if (round === 0) continue;
          measurements.set(name, [...(measurements.get(name) ?? []), measurement]);
          say(`growth ${round}   ${name.padEnd(24)} p50 ${measurement.latencyMs.p50.toFixed(2)} ms`);
        }
      }
    }
  }
  for (const side of sides) {
    const wrong = await checkStock(side.client, side.orders);
    faults.push(...wrong.map((fault) => `${side.name}: ${fault}`));
    await side.service.stop();
  }
  const rows = works.flatMap((work) =>
    CONNECTIONS.flatMap((connections) =>
      compare(measurements, GROWTH, {
        label: `${work}, ${connections} conn.`,
        peer: `empty.${work}.${connections}`,
        service: `filled.${work}.${connections}`,
        figure: ({ latencyMs }) => latencyMs.p50,
        judged: true,
      }),
    ),
  );
  return { orders, rows, measurements, faults };
}

async function open(name: Side['name'], orders: number, options: GrowthOptions): Promise<Side> {
  const { postgres, children, opened, say } = options;
  const databaseUrl = await postgres.createDatabase(name);
  const service = await startService(children, { DATABASE_URL: databaseUrl });
  const productIds = await createProducts(service.url, PRODUCTS);
  const client = await connect(databaseUrl, opened, 'bench');
  await fill(client, productIds, orders, say);
  return { name, service, client, productIds, orders };
}

function requestsFor(work: string, { productIds, orders }: Side): LoadRequest[] {
  if (work === 'order') return productIds.slice(0, 50).map((id) => orderRequest(id));
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

async function fill(client: pg.Client, productIds: number[], orders: number, say: (text: string) => void) {
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
}
