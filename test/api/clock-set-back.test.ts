import { expect, test } from 'vitest';

import { useTestService } from '../support/service.ts';

/*
 * The times of rows that a clock wrote which was two hours slow in between, and two hours fast at the end, in minutes
 * from noon: 1,000 rows whose times fall and rise against their ids.
 */
const MINUTES = `case when n <= 400 then n when n <= 700 then n - 520 when n <= 900 then n + 120 else n - 100 end`;
const AT = `timestamptz '2026-03-01 12:00Z' + ${MINUTES} * interval '1 minute'`;

test('after the clock went back and forth, every period of orders, movements and payment events is whole', async () => {
  const service = await useTestService();
  const { database } = service;
  const { id } = await service.createProduct();
  await database.query(
    `insert into orders (id, total, customer_email, created_at) select 1000 + n, 1, 'Buyer@Example.com', ${AT} from generate_series(1, 1000) n`,
  );
  await database.query(
    `insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
     select 1000 + n, 0, $1, 'S', 1, 1 from generate_series(1, 1000) n`,
    [id],
  );
  await database.query(
    `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, actor, created_at)
     select $1, 'adjusted', 1, 100 + n, 0, 'test', ${AT} from generate_series(1, 1000) n`,
    [id],
  );
  await database.query(
    `insert into inbound_deliveries (id, identity, event_type, scheme, outcome, raw_body, actor, received_at)
     select 1000 + n, 'event:' || n, 'payment.succeeded', 'standard-webhooks', 'processed', '{}', 'test', ${AT}
       from generate_series(1, 1000) n`,
  );
  const summarized = ['orders_time_idx', 'stock_movements_time_idx', 'inbound_deliveries_time_idx'];
  for (const index of summarized) await database.query(`select brin_summarize_new_values('${index}')`);

  const bounds = [
    '2026-03-01T10:30:00Z',
    '2026-03-01T13:00:00Z',
    '2026-03-01T18:00:00Z',
    '2026-03-02T02:00:00Z',
  ];
  const lists = [
    ['/orders', 'created', 'orders', 'created_at'],
    [`/products/${id}/stock-movements`, 'created', 'stock_movements', 'created_at'],
    ['/webhooks/inbox', 'received', 'inbound_deliveries', 'received_at'],
  ] as const;
  for (const [url, prefix, table, column] of lists) {
    for (const from of [undefined, ...bounds]) {
      for (const to of [undefined, ...bounds]) {
        const [stored] = await database.query<{ count: number }>(
          `select count(*)::int as count from ${table}
            where ${column} >= coalesce($1, '-infinity'::timestamptz) and ${column} < coalesce($2, 'infinity'::timestamptz)`,
          [from ?? null, to ?? null],
        );
        const query = [from && `${prefix}_from=${from}`, to && `${prefix}_to=${to}`]
          .filter(Boolean)
          .join('&');
        const { body } = await service.call('GET', `${url}?limit=1000&${query}`.replace(/&$/, ''));
        expect([url, query, body.length]).toEqual([url, query, Math.min(1000, stored?.count ?? 0)]);
      }
    }
  }
  // The last movement that is dated by then stands behind those that were dated ahead.
  const explained = await service.call('GET', `/products/${id}/stock/explain?as_of=2026-03-01T13:00:00Z`);
  expect(explained.body.stock).toBeGreaterThan(100);
});
