import { beforeAll, expect, test } from 'vitest';

import { type Work, workOf } from '../support/plans.ts';
import { useSharedService } from '../support/service.ts';

/*
 * A million movements over four months, most of them of product 1: nearly everything there is reserved and shipped, and
 * every thousandth or so is of another kind.
 */
const MOVEMENTS = 1_000_000;
/** The busiest product's movements of two days: so short a period PostgreSQL rather sorts than reads in order. */
const ROWS_LOOKED_AT_MAX = 20_000;

const service = useSharedService();

beforeAll(async () => {
  await service.database.query(`
    insert into products (sku, name, price, on_hand)
    select 'S' || n, 'Product ' || n, 10, 1000000000 from generate_series(1, 1000) n`);
  await service.database.query(`
    insert into stock_movements
      (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor, created_at)
    select case when n % 4 < 3 then 1 else 1 + n / 4 % 1000 end,
           kind, case when kind in ('received', 'adjusted', 'reserved') then 1 else -1 end, 1000000, 10,
           case when kind not in ('received', 'adjusted') then n end, 'test',
           timestamptz '2026-01-01' + n * interval '10 seconds'
      from generate_series(1, ${MOVEMENTS}) n
      cross join lateral (
        select case when n % 5003 = 0 then 'received' when n % 1009 = 0 then 'adjusted' when n % 997 = 0 then 'released'
                    when n % 8 < 4 then 'reserved' else 'shipped' end as kind
      ) k`);
  await service.database.query('analyze');
  // As autovacuum does, a minute after a range of pages is full.
  await service.database.query("select brin_summarize_new_values('stock_movements_time_idx')");
}, 120_000);

const filters = [
  '',
  'kind=received',
  'kind=adjusted',
  'kind=reserved',
  'kind=released',
  'kind=shipped',
  'order_id=500001',
  'order_id=999999999',
  'order_id=500001&kind=reserved',
  'created_from=2026-02-01T00:00:00Z&created_to=2026-02-01T12:00:00Z',
  'created_to=2026-01-02T00:00:00Z',
  'created_from=2026-04-25T00:00:00Z',
  'created_from=2031-01-01T00:00:00Z',
  'created_to=2020-01-01T00:00:00Z',
  'kind=released&created_from=2026-02-01T00:00:00Z&created_to=2026-02-03T00:00:00Z',
  'kind=shipped&created_to=2026-01-15T00:00:00Z',
  'skip=800',
];

const lists = filters.flatMap((filter) =>
  [1, 77].flatMap((product) =>
    ['-id', 'id'].map((sort) =>
      `/products/${product}/stock-movements?${filter}&sort=${sort}`.replace('?&', '?'),
    ),
  ),
);

/** What is wrong with a plan. */
function faultsOf({ scanned, rows }: Work): string[] {
  return [
    ...scanned.map((table) => `scans ${table}`),
    ...(rows > ROWS_LOOKED_AT_MAX ? [`looks at ${rows}`] : []),
  ];
}

test.each(lists)('a page of a million movements, %s, looks at few rows and scans no table', async (url) => {
  expect(faultsOf(await workOf(service, url, 'stock_movements'))).toEqual([]);
});
