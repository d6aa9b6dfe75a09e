import { beforeAll, expect, test } from 'vitest';

import { sweepOverdueOrders } from '../../src/orders/expiry/expiry.service.ts';
import { tamper } from '../support/audits.ts';
import { connectForeign } from '../support/baskets.ts';
import { type PlanRow, workIn, workOf } from '../support/plans.ts';
import { observeStatements, type Statement } from '../support/race.ts';
import { useSharedService } from '../support/service.ts';

/*
 * A million orders over a year, of 10,000 products, most of them long shipped: the shape in which a list without an
 * index hurts. What is counted is the rows that PostgreSQL looks at for one page of 100.
 */
const ORDERS = 1_000_000;
/** Of a product that every 50th order names, all of 20,000 may be looked at for the few that wait. */
const ROWS_LOOKED_AT_MAX = 25_000;

const service = useSharedService();

beforeAll(async () => {
  await service.database.query(`
    insert into products (sku, name, price, on_hand)
    select 'S' || n, 'Product ' || n, 10, 1000000000 from generate_series(1, 10000) n`);
  await service.database.query(`
    insert into orders (id, status, total, customer_email, created_at, expires_at)
    select n, case when n > ${ORDERS - 5000} then (array['PENDING', 'PAID'])[1 + n % 2]
                   else (array['SHIPPED', 'SHIPPED', 'CANCELED'])[1 + n % 3] end,
           10, case when n % 2 = 0 then 'c' || n % 50000 || '@example.com' end,
           timestamptz '2026-01-01' + n * interval '30 seconds',
           case when n > ${ORDERS - 5000} then timestamptz '2100-01-01' - n * interval '1 second'
                else timestamptz '2026-01-01' + n * interval '32 seconds' end
      from generate_series(1, ${ORDERS}) n`);
  await service.database.query(`
    insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
    select n, 0, case when n % 100 = 0 then 1 + n % 10000 else 1 + n % 50 end, 'S', 1, 10
      from generate_series(1, ${ORDERS}) n`);
  await service.database.query(`
    insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor)
    select product_id, 'reserved', 1, 1000000000, 1, order_id, 'test' from order_items order by order_id`);
  await service.database.query(`
    insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor)
    select i.product_id, case o.status when 'SHIPPED' then 'shipped' else 'released' end, -1, 1000000000, 0, o.id, 'test'
      from order_items i join orders o on o.id = i.order_id where o.status in ('SHIPPED', 'CANCELED') order by o.id`);
  await service.database.query('analyze');
  // As autovacuum does, a minute after a range of pages is full.
  await service.database.query("select brin_summarize_new_values('orders_time_idx')");
}, 120_000);

const filters = [
  '',
  'status=PENDING',
  'status=PAID',
  'status=SHIPPED',
  'status=CANCELED',
  'customer_email=c100@example.com',
  'customer_email=nobody@example.com',
  'product_id=7',
  'product_id=9901',
  'product_id=10000',
  'created_from=2026-03-01T00:00:00Z&created_to=2026-03-02T00:00:00Z',
  'created_to=2026-02-01T00:00:00Z',
  'created_from=2026-11-01T00:00:00Z',
  'created_from=2031-01-01T00:00:00Z',
  'status=PENDING&product_id=7',
  'status=CANCELED&created_to=2026-02-01T00:00:00Z',
  'customer_email=c100@example.com&status=SHIPPED',
  'skip=1000',
];

test.each(filters.flatMap((filter) => ['sort=-id', 'sort=id'].map((sort) => `${filter}&${sort}`)))(
  'a page of a million orders under %s looks at few rows and scans no table',
  async (query) => {
    const { scanned, rows } = await workOf(service, `/orders?${query.replace(/^&/, '')}`, 'orders');
    expect(scanned).toEqual([]);
    expect(rows).toBeLessThan(ROWS_LOOKED_AT_MAX);
  },
);

/*
 * No index holds a counter or a part of a name: the busiest row there is would have to be written to it with every order.
 * So some filters may look at the whole catalogue, which orders do not add to, and at nothing else.
 */
test.each([
  ['', 101],
  ['sku=S77', 1],
  ['active=true', 101],
  ['sort=-id&skip=1000', 1101],
  ['active=false', 10_000],
  ['stock_below=5', 10_000],
  ['q=Product 777', 10_000],
])(
  'a page of 10,000 products under %s looks at %i rows at the most, whatever was ordered',
  async (query, most) => {
    const { scanned, rows } = await workOf(service, `/products?${query}`, 'products');
    expect(scanned.filter((table) => most < 10_000 || table !== 'products')).toEqual([]);
    expect(rows).toBeLessThanOrEqual(most);
  },
);

/** What asks for overdue orders: a sweep, an order and a preview of the product with most orders, all sold out. */
async function overdueStatements(): Promise<Statement[]> {
  const sent: Statement[] = [];
  observeStatements(service, (statement) => sent.push(statement));
  const order = { product_id: 7, quantity: 1_000_000_000 };
  await tamper(service.database, `update orders set expires_at = now() where id = ${ORDERS}`);
  expect(await sweepOverdueOrders(service.own.db, service.services.metrics)).toBe(1);
  expect((await service.call('POST', '/orders', order)).status).toBe(409);
  expect((await service.call('POST', '/orders?dry_run=true', order)).status).toBe(409);
  return sent.filter(({ text }) => text.includes('expires_at <= now()') || text.includes('"expires_at" <='));
}

test('among a million orders, 300 overdue ones are found without a look at the others, under a plan for any values', async () => {
  // Enough is reserved for what the sweep gives back.
  await service.database.query('update products set reserved = 100');
  const statements = await overdueStatements();
  expect(statements).toHaveLength(4);
  await tamper(
    service.database,
    `update orders set expires_at = now() - interval '1 minute' where status = 'PENDING' and id % 16 = 2`,
  );
  const client = await connectForeign(service.database);
  await client.query('set plan_cache_mode = force_generic_plan');
  for (const { text, values } of statements) {
    const { scanned, rows } = workIn(
      (await client.query<PlanRow>(`explain (analyze, format json) ${text}`, values)).rows,
    );
    expect([text, scanned]).toEqual([text, []]);
    expect(rows).toBeLessThan(2000);
  }
});
