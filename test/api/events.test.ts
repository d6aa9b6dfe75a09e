import { afterAll, beforeAll, expect, test } from 'vitest';

import { sweep } from '../support/expiry.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

type Command = () => Promise<{ status: number }>;

/** The events that a command writes, as `type version`, with the status of its answer. */
async function told(command: Command): Promise<string[]> {
  const [{ last } = { last: 0 }] = await service.database.query<{ last: number }>(
    'select coalesce(max(id), 0)::int as last from events',
  );
  const { status } = await command();
  const events = await service.database.query<{ told: string }>(
    `select type || ' ' || aggregate_version as told from events where id > $1 order by id`,
    [last],
  );
  return [String(status), ...events.map((event) => event.told)];
}

function call(...parts: Parameters<TestService['call']>) {
  return service.call(...parts);
}

function pay(event_type: string, order_id: number, more: object = {}) {
  return service.pay({ event_type, order_id, ...more });
}

/** Ids of refused and repeated orders stay unused, so the last one's is looked up. */
async function cancelLastOrder() {
  const [last] = await service.database.query<{ id: string }>('select max(id) as id from orders');
  return call('DELETE', `/orders/${last?.id}`);
}

/** The last order, at the end of its time; the answer is made up. */
async function sweepLastOrder() {
  await service.database.query(
    'update orders set expires_at = clock_timestamp() where id = (select max(id) from orders)',
  );
  return { status: await sweep(service) };
}

async function payLastOrder() {
  const [last] = await service.database.query<{ id: number }>('select max(id)::int as id from orders');
  return pay('payment.succeeded', last?.id ?? 0);
}

/** The golden list: every command of a life, and exactly what it tells. */
test('one command, one exact list of events; refused and repeated commands tell nothing', async () => {
  const product = { sku: 'GOLDEN', name: 'x', price: 10, stock: 10 };
  const order = { product_id: 1, quantity: 1 };
  const adjustment = { delta: 1, reason: 'found' };
  const keyed = { 'idempotency-key': 'golden-adjustment' };
  const key = { 'idempotency-key': 'golden' };
  const script: [name: string, command: Command, ...expected: string[]][] = [
    ['create a product', () => call('POST', '/products', product), '201', 'product.created 1'],
    ['create it again', () => call('POST', '/products', product), '409'],
    ['edit it', () => call('PATCH', '/products/1', { name: 'y', stock: 9 }), '200', 'product.updated 2'],
    ['edit it to the same', () => call('PATCH', '/products/1', { name: 'y', stock: 9 }), '200'],
    [
      'adjust its stock',
      () => call('POST', '/products/1/stock-adjustments', adjustment, keyed),
      '201',
      'product.updated 3',
    ],
    ['adjust it again', () => call('POST', '/products/1/stock-adjustments', adjustment, keyed), '201'],
    [
      'take too much',
      () => call('POST', '/products/1/stock-adjustments', { ...adjustment, delta: -99 }),
      '409',
    ],
    ['edit a stale version', () => call('PATCH', '/products/1', { name: 'z' }, { 'if-match': '"1"' }), '412'],
    ['read it', () => call('GET', '/products/1'), '200'],
    ['place order 1', () => call('POST', '/orders', order, key), '201', 'order.created 1'],
    ['place it again', () => call('POST', '/orders', order, key), '201'],
    ['preview an order', () => call('POST', '/orders/preview', order), '200'],
    ['preview an order as a dry run', () => call('POST', '/orders?dry_run=true', order), '200'],
    ['order too much', () => call('POST', '/orders', { product_id: 1, quantity: 99 }), '409'],
    ['pay order 1', () => pay('payment.succeeded', 1), '200', 'order.paid 2'],
    ['pay it again', () => pay('payment.succeeded', 1), '200'],
    [
      'pay it twice',
      () => pay('payment.succeeded', 1, { event_id: 'b' }),
      '200',
      'payment.review_required 1',
    ],
    [
      'resolve that',
      () => call('POST', '/payments/exceptions/1/resolve', { resolution: 'refunded' }, key),
      '409',
    ],
    [
      'resolve it under a key of its own',
      () =>
        call(
          'POST',
          '/payments/exceptions/1/resolve',
          { resolution: 'refunded' },
          { 'idempotency-key': 'r' },
        ),
      '200',
      'payment.review_resolved 2',
    ],
    [
      'resolve it again',
      () => call('POST', '/payments/exceptions/1/resolve', { resolution: 'refunded' }),
      '409',
    ],
    ['pay an unknown order', () => pay('payment.succeeded', 999), '404'],
    ['replay that', () => call('POST', '/webhooks/inbox/4/replay'), '404'],
    ['fail it late', () => pay('payment.failed', 1), '200'],
    ['ship it', () => call('PUT', '/orders/1', { status: 'SHIPPED' }), '200', 'order.shipped 3'],
    ['ship it again', () => call('PUT', '/orders/1', { status: 'SHIPPED' }), '400'],
    ['cancel it', () => call('DELETE', '/orders/1'), '400'],
    ['place an order', () => call('POST', '/orders', order), '201', 'order.created 1'],
    ['cancel the last order', cancelLastOrder, '204', 'order.canceled 2'],
    ['place another order', () => call('POST', '/orders', order), '201', 'order.created 1'],
    ['let it expire', sweepLastOrder, '1', 'order.expired 2'],
    ['pay it late', payLastOrder, '200', 'payment.review_required 1'],
    ['delete the product', () => call('DELETE', '/products/1'), '400'],
    [
      'create another',
      () => call('POST', '/products', { ...product, sku: 'G2' }),
      '201',
      'product.created 1',
    ],
    ['delete it', () => call('DELETE', '/products/3'), '204', 'product.deleted 2'],
    ['delete it again', () => call('DELETE', '/products/3'), '404'],
  ];
  const found = [];
  for (const [name, command] of script) found.push([name, ...(await told(command))]);
  expect(found).toEqual(script.map(([name, , ...expected]) => [name, ...expected]));
});
