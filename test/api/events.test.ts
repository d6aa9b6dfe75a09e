import fastify from 'fastify';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { eventTypes } from '../../src/event-types.ts';
import { aggregateTypes } from '../../src/events/define-event.ts';
import { ajvOptions } from '../../src/http/validation.ts';
import { tamper } from '../support/audits.ts';
import { sweep } from '../support/expiry.ts';
import { answerInTurn, useReceiver } from '../support/receivers.ts';
import { endPauses, relayAll } from '../support/relay.ts';
import { type TestService, useSharedService } from '../support/service.ts';

const service = useSharedService();

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
  return call('DELETE', `/orders/${await lastOrderId()}`);
}

/** The last order, at the end of its time; the answer is made up. */
async function sweepLastOrder() {
  await tamper(
    service.database,
    'update orders set expires_at = clock_timestamp() where id = (select max(id) from orders)',
  );
  return { status: await sweep(service) };
}

async function lastOrderId(): Promise<number> {
  const [last] = await service.database.query<{ id: number }>('select max(id)::int as id from orders');
  return last?.id ?? 0;
}

const payLastOrder = async () => pay('payment.succeeded', await lastOrderId());

function createProduct(sku: string) {
  return call('POST', '/products', { sku, name: 'x', price: 10, stock: 10 });
}

/** Lets the relay send what there is so many times; the answer is made up. */
async function relayTimes(times: number) {
  let tries = 0;
  for (let i = 0; i < times; i++) {
    await endPauses(service);
    tries += await relayAll(service);
  }
  return { status: tries };
}

const failLastOrder = async () => pay('payment.failed', await lastOrderId());

async function shipLastOrder() {
  await payLastOrder();
  return call('PUT', `/orders/${await lastOrderId()}`, { status: 'SHIPPED' });
}

/** The golden list: every command of a life, and exactly what it tells. */
test('one command, one exact list of events; refused and repeated commands tell nothing', async () => {
  const product = { sku: 'GOLDEN', name: 'x', price: 10, stock: 10 };
  const order = { product_id: 1, quantity: 1 };
  const receiver = await useReceiver(answerInTurn(500, 500, 500, 500, 500, 500, 200, 404, 410));
  const endpoint = { url: 'https://shop.example/hooks' };
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
    ['pay order 1', () => pay('payment.succeeded', 1), '200', 'payment.recorded 2', 'order.paid 2'],
    ['pay it again', () => pay('payment.succeeded', 1), '200'],
    [
      'pay it twice',
      () => pay('payment.succeeded', 1, { event_id: 'b' }),
      '200',
      'payment.recorded 3',
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
      'payment.difference_accepted 4',
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
    ['ship it', () => call('PUT', '/orders/1', { status: 'SHIPPED' }), '200', 'order.shipped 5'],
    ['ship it again', () => call('PUT', '/orders/1', { status: 'SHIPPED' }), '400'],
    ['cancel it', () => call('DELETE', '/orders/1'), '400'],
    ['place an order', () => call('POST', '/orders', order), '201', 'order.created 1'],
    ['cancel the last order', cancelLastOrder, '204', 'order.canceled 2'],
    ['place another order', () => call('POST', '/orders', order), '201', 'order.created 1'],
    ['let it expire', sweepLastOrder, '1', 'order.expired 2'],
    ['pay it late', payLastOrder, '200', 'payment.recorded 3', 'payment.review_required 1'],
    ['delete the product', () => call('DELETE', '/products/1'), '400'],
    [
      'create another',
      () => call('POST', '/products', { ...product, sku: 'G2' }),
      '201',
      'product.created 1',
    ],
    ['delete it', () => call('DELETE', '/products/3'), '204', 'product.deleted 2'],
    ['delete it again', () => call('DELETE', '/products/3'), '404'],
    [
      'create a webhook endpoint',
      () => call('POST', '/webhook-endpoints', { url: 'https://shop.example/' }, key),
      '409',
    ],
    [
      'create it under a key of its own',
      () => call('POST', '/webhook-endpoints', endpoint, { 'idempotency-key': 'e' }),
      '201',
      'endpoint.created 1',
    ],
    [
      'create it again',
      () => call('POST', '/webhook-endpoints', endpoint, { 'idempotency-key': 'e' }),
      '201',
    ],
    [
      'pause it',
      () => call('PATCH', '/webhook-endpoints/1', { status: 'paused' }),
      '200',
      'endpoint.updated 2',
    ],
    ['pause it again', () => call('PATCH', '/webhook-endpoints/1', { status: 'paused' }), '200'],
    [
      'rotate its secret',
      () => call('POST', '/webhook-endpoints/1/rotate'),
      '200',
      'endpoint.secret_rotated 3',
    ],
    ['delete the endpoint', () => call('DELETE', '/webhook-endpoints/1'), '204', 'endpoint.deleted 4'],
    ['delete it twice', () => call('DELETE', '/webhook-endpoints/1'), '404'],
    [
      'create another endpoint',
      () => call('POST', '/webhook-endpoints', { url: receiver.url, types: ['product.created'] }),
      '201',
      'endpoint.created 1',
    ],
    ['create a product for it', () => createProduct('E1'), '201', 'product.created 1'],
    ['fail to deliver that, 6 times', () => relayTimes(6), '6', 'endpoint.failing 2'],
    ['deliver it', () => relayTimes(1), '1', 'endpoint.recovered 3'],
    ['create a product that is refused', () => createProduct('E2'), '201', 'product.created 1'],
    ['refuse it', () => relayTimes(1), '1', 'delivery.failed 1'],
    ['create a product too many', () => createProduct('E3'), '201', 'product.created 1'],
    ['want no more events', () => relayTimes(1), '1', 'endpoint.disabled 4'],
  ];
  const found = [];
  for (const [name, command] of script) found.push([name, ...(await told(command))]);
  expect(found).toEqual(script.map(([name, , ...expected]) => [name, ...expected]));
});

test('stock that comes down to its threshold, to 0, and back is announced once, on every path', async () => {
  const { id } = await service.createProduct({ sku: 'MARKS', stock: 5, low_stock_threshold: 3 });
  const url = `/products/${id}`;
  const order = (quantity: number) => call('POST', '/orders', { product_id: id, quantity });
  const adjust = (delta: number) => call('POST', `${url}/stock-adjustments`, { delta, reason: 'counted' });
  const script: [name: string, command: Command, ...expected: string[]][] = [
    ['order, and stay above', () => order(1), '201', 'order.created 1'],
    ['order down to the threshold', () => order(1), '201', 'stock.low 3', 'order.created 1'],
    ['order below it', () => order(1), '201', 'order.created 1'],
    ['order the rest', () => order(2), '201', 'stock.depleted 5', 'order.created 1'],
    ['cancel', cancelLastOrder, '204', 'stock.available 6', 'order.canceled 2'],
    ['receive more', () => adjust(10), '201', 'product.updated 7'],
    ['order all at once', () => order(12), '201', 'stock.low 8', 'stock.depleted 8', 'order.created 1'],
    ['let it expire', sweepLastOrder, '1', 'stock.available 9', 'order.expired 2'],
    ['order all again', () => order(12), '201', 'stock.low 10', 'stock.depleted 10', 'order.created 1'],
    ['its payment fails', failLastOrder, '200', 'stock.available 11', 'order.canceled 2'],
    ['adjust down to 0', () => adjust(-12), '201', 'stock.low 12', 'stock.depleted 12', 'product.updated 12'],
    ['adjust up', () => adjust(1), '201', 'stock.available 13', 'product.updated 13'],
    ['set to 0', () => call('PATCH', url, { stock: 0 }), '200', 'stock.depleted 14', 'product.updated 14'],
    ['set to 9', () => call('PATCH', url, { stock: 9 }), '200', 'stock.available 15', 'product.updated 15'],
    ['order 9', () => order(9), '201', 'stock.low 16', 'stock.depleted 16', 'order.created 1'],
    ['pay and ship it', shipLastOrder, '200', 'payment.recorded 2', 'order.paid 2', 'order.shipped 3'],
  ];
  const found = [];
  for (const [name, command] of script) found.push([name, ...(await told(command))]);
  expect(found).toEqual(script.map(([name, , ...expected]) => [name, ...expected]));
});

interface StoredEvent {
  type: string;
  aggregate: string;
  payload: Record<string, unknown> | null;
}

/** Says of a payload whether it is what the schema of its type promises; Fastify has the compiler for that. */
async function payloadChecker() {
  const app = fastify({ ajv: ajvOptions });
  for (const schema of Object.values(service.app.getSchemas())) app.addSchema(schema);
  for (const { type, payload } of eventTypes) {
    app.post(`/${type}`, { schema: { body: payload } }, () => '');
  }
  await app.ready();
  return async ({ type, payload }: StoredEvent) =>
    (await app.inject({ method: 'POST', url: `/${type}`, payload: payload ?? {} })).statusCode === 200;
}

/** Runs on what the test above has written. */
test('the log holds every registered type and no other, with the aggregate and the payload of its definition', async () => {
  const stored = await service.database.query<StoredEvent & Record<string, unknown>>(
    'select type, aggregate_type as aggregate, payload from events order by id',
  );
  const isValid = await payloadChecker();
  expect(new Set(stored.map(({ type }) => type))).toEqual(new Set(eventTypes.map(({ type }) => type)));
  const wrong = [];
  for (const event of stored) {
    const definition = eventTypes.find(({ type }) => type === event.type);
    const members = Object.keys(event.payload ?? {}).join();
    const promised = Object.keys(definition?.payload['properties'] ?? {}).join();
    // The rows of the order are the payload of its creation.
    const isWhole =
      event.type === 'order.created'
        ? event.payload === null
        : members === promised && (await isValid(event));
    if (definition?.aggregate !== event.aggregate || !isWhole) wrong.push(event);
  }
  expect(wrong).toEqual([]);
  expect(await isValid({ type: 'order.paid', aggregate: 'order', payload: {} })).toBe(false);
});

test('types are unique, the database knows their aggregates, and the architecture page lists each', async () => {
  const types = eventTypes.map(({ type }) => type);
  expect(new Set(types).size).toBe(types.length);
  const [check] = await service.database.query<{ text: string }>(
    "select pg_get_constraintdef(oid) as text from pg_constraint where conname = 'events_aggregate_type_known'",
  );
  const known = [...(check?.text ?? '').matchAll(/'(\w+)'/g)].map(([, name]) => name);
  expect(known).toEqual(aggregateTypes);
  const [, section = ''] = readFileSync('docs/architecture.md', 'utf8').split('\n## Events\n');
  const rows = section.split('\n## ')[0]?.matchAll(/^\| (`[^|]*)\|/gm) ?? [];
  const listed = [...rows].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([\w.]+)`/g)].map(([, type]) => type),
  );
  expect(listed).toHaveLength(types.length);
  expect(new Set(listed)).toEqual(new Set(types));
});
