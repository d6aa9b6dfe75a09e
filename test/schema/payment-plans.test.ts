import { beforeAll, expect, test } from 'vitest';

import { workOf } from '../support/plans.ts';
import { useSharedService } from '../support/service.ts';

/*
 * A million payment events over a year, one of a hundred a review, and as many refused deliveries as are ever kept: the
 * shape in which a list without an index hurts. What is counted is the rows that PostgreSQL looks at for one page of 100.
 */
const EVENTS = 1_000_000;
/** A day on either side of a period may be looked at (inbox.repository.ts): some 5,500 events here, and all refusals. */
const ROWS_LOOKED_AT_MAX = 25_000;

const service = useSharedService();
const query = (text: string) => service.database.query(text);

beforeAll(async () => {
  await query('insert into orders (id, total) select n, 10 from generate_series(1, 10000) n');
  await query(`
    insert into inbound_deliveries (id, identity, event_type, order_id, scheme, outcome, reason, raw_body, actor, received_at)
    select n, 'event:' || n,
           case when n % 500 = 0 then 'payment.refunded' when n % 100 = 1 then 'payment.failed' else 'payment.succeeded' end,
           n % 100000 + 1, 'standard-webhooks',
           case when n % 100 = 0 then 'review' when n % 1000 = 1 then 'ignored' else 'processed' end,
           case when n % 100 = 0 then 'already_paid' end,
           '{}', 'payment-provider', timestamptz '2026-01-01' + n * interval '30 seconds'
      from generate_series(1, ${EVENTS}) n`);
  await query(`
    insert into payment_exceptions (payment_event_id, order_id, reason, detail, status, resolution, created_at)
    select id, id % 10000 + 1, 'already_paid', '', case when id % 100000 = 0 then 'OPEN' else 'RESOLVED' end,
           case when id % 100000 = 0 then null else 'refunded' end, received_at
      from inbound_deliveries where outcome = 'review'`);
  await query(`
    insert into inbound_deliveries (id, verdict, outcome, identity, scheme, order_id, reason, detail, raw_body, request_id,
                                    received_at, last_delivered_at)
    select ${EVENTS} + n, case when n % 11 = 0 then 'forged' else 'valid' end,
           case when n % 11 = 0 then 'refused' else 'failed' end, 'event:r' || n,
           case when n % 11 = 0 then null else 'standard-webhooks' end, n, 'order_not_found', '', '{}', 'r', now(), now()
      from generate_series(1, 11000) n`);
  await query('analyze');
  // As autovacuum does, a minute after a range of pages is full.
  await query("select brin_summarize_new_values('inbound_deliveries_time_idx')");
}, 120_000);

const inboxFilters = [
  '',
  'outcome=processed',
  'outcome=review',
  'outcome=ignored',
  'outcome=failed',
  'outcome=refused',
  'verdict=valid',
  'verdict=forged',
  'event_type=payment.succeeded',
  'event_type=payment.refunded',
  'event_type=payment.unheard-of',
  'event_type=payment.failed&outcome=ignored',
  'order_id=77',
  'order_id=987654321',
  'event_id=500000',
  'event_id=nobody',
  'received_from=2026-03-01T00:00:00Z&received_to=2026-03-02T00:00:00Z',
  'received_to=2026-02-01T00:00:00Z',
  'received_from=2026-11-01T00:00:00Z',
  'received_from=2031-01-01T00:00:00Z',
  'received_to=2026-02-01T00:00:00Z&outcome=review',
  'skip=1000',
];
const exceptionFilters = [
  '',
  'status=OPEN',
  'status=RESOLVED',
  'order_id=77',
  'status=OPEN&order_id=77',
  'reason=already_paid',
  'reason=partial_refund',
  'status=OPEN&reason=already_paid',
  'created_from=2026-03-01T00:00:00Z&created_to=2026-03-02T00:00:00Z',
  'created_to=2026-02-01T00:00:00Z',
  'created_from=2026-11-01T00:00:00Z',
  'skip=1000',
];

test.each([
  ...inboxFilters.flatMap((filter) => [
    `/webhooks/inbox?sort=-id&${filter}`,
    `/webhooks/inbox?sort=id&${filter}`,
  ]),
  ...exceptionFilters.flatMap((filter) => [
    `/payments/exceptions?sort=-id&${filter}`,
    `/payments/exceptions?sort=id&${filter}`,
  ]),
])('a page of %s among a million events looks at few rows and scans no large table', async (url) => {
  const { scanned, rows } = await workOf(
    service,
    url.replace(/&$/, ''),
    url.startsWith('/webhooks') ? 'from inbound_deliveries' : 'from "payment_exceptions"',
  );
  expect(scanned).toEqual([]);
  expect(rows).toBeLessThan(ROWS_LOOKED_AT_MAX);
});

test('the gauges of what waits look at open exceptions only', async () => {
  const plan = await service.database.query<{ 'QUERY PLAN': string }>(
    "explain select reason, count(*), min(created_at) from payment_exceptions where status = 'OPEN' group by reason",
  );
  expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain('payment_exceptions_open_idx');
});
