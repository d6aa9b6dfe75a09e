import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService();

describe.each(['', '/api/v1'])('under the prefix "%s"', (prefix) => {
  test('/health answers exactly the two members of the contract', async () => {
    const { status, text, headers } = await service.call('GET', `${prefix}/health`);
    expect(status).toBe(200);
    expect(text).toBe('{"status":"healthy","service":"orders-inventory"}');
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
  });

  test('/healthz and /readyz answer 200 while all is well', async () => {
    expect((await service.call('GET', `${prefix}/healthz`)).body).toEqual({ status: 'alive' });
    expect((await service.call('GET', `${prefix}/readyz`)).body).toEqual({ status: 'ready' });
  });
});

test('/readyz is 503 with Retry-After on a database that has not run every migration; /health and /healthz stay 200', async () => {
  const behind = await useTestService();
  const [{ table } = { table: '' }] = await behind.database.query<{ table: string }>(
    `select table_name as table from information_schema.columns
      where table_schema = 'public' and table_name ~ 'migration' limit 1`,
  );
  expect(table).not.toBe('');
  await behind.database.query(`delete from "${table}"`);
  const answer = await behind.call('GET', '/readyz');
  expect(answer).toBeProblem(503, 'service_unavailable');
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  expect((await behind.call('GET', '/health')).status).toBe(200);
  expect((await behind.call('GET', '/healthz')).status).toBe(200);
});

/** The value of one series, whatever the order of its labels; 0 when it is not there. */
async function valueOf(name: string, labels: Record<string, string> = {}): Promise<number> {
  const { text } = await service.call('GET', '/metrics');
  const line = text
    .split('\n')
    .find(
      (candidate) =>
        new RegExp(`^${name}[ {]`).test(candidate) &&
        Object.entries(labels).every(([label, value]) => candidate.includes(`${label}="${value}"`)),
    );
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** What a call adds to a series. */
async function added(call: () => Promise<unknown>, name: string, labels: Record<string, string> = {}) {
  const before = await valueOf(name, labels);
  await call();
  return (await valueOf(name, labels)) - before;
}

describe('/metrics', () => {
  test('is text in the format of Prometheus', async () => {
    const { status, headers, text } = await service.call('GET', '/metrics');
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(text).toMatch(/^# HELP \w+ .+\n# TYPE \w+ (counter|gauge|histogram)$/m);
  });

  test('counts durations by method, route and status; ids are no part of the route', async () => {
    const labels = { method: 'GET', route: '/products/:id', status: '404' };
    const calls = async () => {
      for (const id of [900_001, 900_002, 900_003]) await service.call('GET', `/products/${id}`);
    };
    expect(await added(calls, 'http_request_duration_seconds_count', labels)).toBe(3);
    expect((await service.call('GET', '/metrics')).text).not.toContain('900001');
  });

  test('counts a HEAD once, apart from the GET, and a call under /api/v1 as the same call', async () => {
    const name = 'http_request_duration_seconds_count';
    const series = { method: 'GET', route: '/products/:id', status: '404' };
    const before = await valueOf(name, series);
    const counted = (method: 'HEAD' | 'GET', path: string, labels: Record<string, string>) =>
      added(() => service.call(method, path), name, { ...series, ...labels });
    expect(await counted('HEAD', '/products/900001', { method: 'HEAD' })).toBe(1);
    expect(await valueOf(name, series)).toBe(before);
    expect(await counted('GET', '/api/v1/products/900001', {})).toBe(1);
  });

  test('shows the use of the pool, and how late the event loop is', async () => {
    const { text } = await service.call('GET', '/metrics');
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m);
    // Of the 10 that DATABASE_POOL_SIZE is, 4 are for lists.
    for (const [pool, size] of [
      ['changes', 6],
      ['lists', 4],
    ] as const) {
      const { [pool]: own } = service.own.pools;
      const held = await Promise.all(Array.from({ length: size }, () => own.connect()));
      const waiting = own.connect();
      expect(await valueOf('db_pool_connections', { pool, state: 'busy' })).toBe(size);
      expect(await valueOf('db_pool_connections', { pool, state: 'idle' })).toBe(0);
      expect(await valueOf('db_pool_waiting', { pool })).toBeGreaterThan(0);
      for (const client of held) client.release();
      (await waiting).release();
      expect(await valueOf('db_pool_connections', { pool, state: 'idle' })).toBeGreaterThan(0);
      expect(await valueOf('db_pool_waiting', { pool })).toBe(0);
    }
  });

  test('a scrape does not find its own two questions waiting, however few connections are open', async () => {
    const { changes } = service.own.pools;
    const held = await Promise.all(Array.from({ length: 6 }, () => changes.connect()));
    // One is left, as after half a minute without a call.
    for (const [n, client] of held.entries()) client.release(n > 0);
    expect([changes.totalCount, changes.idleCount]).toEqual([1, 1]);
    expect(await valueOf('db_pool_waiting', { pool: 'changes' })).toBe(0);
  });

  test('unknown paths share one series, so that nobody can fill the memory with names', async () => {
    const paths = ['/a', '/b', '/c'];
    const calls = async () => {
      for (const path of paths) await service.call('GET', path);
    };
    const labels = { route: 'unknown', status: '404' };
    expect(await added(calls, 'http_request_duration_seconds_count', labels)).toBe(3);
  });

  test('counts orders placed once each, replays and previews not', async () => {
    const { id: product_id } = await service.createProduct();
    const order = { product_id, quantity: 1 };
    const calls = async () => {
      await service.call('POST', '/orders', order, { 'idempotency-key': 'metrics' });
      await service.call('POST', '/orders', order, { 'idempotency-key': 'metrics' });
      await service.call('POST', '/orders/preview', order);
      await service.call('POST', '/orders?dry_run=true', order);
      await service.call('POST', '/orders', order);
    };
    expect(await added(calls, 'orders_placed_total')).toBe(2);
  });

  test('counts refused orders by code', async () => {
    const { id } = await service.createProduct({ stock: 0 });
    const short = () => service.call('POST', '/orders', { product_id: id, quantity: 1 });
    const unknown = () => service.call('POST', '/orders', { product_id: 999_999, quantity: 1 });
    expect(await added(short, 'orders_refused_total', { code: 'insufficient_stock' })).toBe(1);
    expect(await added(unknown, 'orders_refused_total', { code: 'product_not_found' })).toBe(1);
  });

  test('counts transitions by hand and by payment, and no refused ones', async () => {
    const { id: product_id } = await service.createProduct();
    const [first, second] = [
      await service.placeOrder(product_id, 1),
      await service.placeOrder(product_id, 1),
    ];
    const paid = async () => {
      await service.call('PUT', `/orders/${first.id}`, { status: 'PAID' });
      await service.call('PUT', `/orders/${first.id}`, { status: 'PAID' });
      await service.pay({ event_type: 'payment.succeeded', order_id: second.id });
    };
    expect(await added(paid, 'order_transitions_total', { to: 'PAID' })).toBe(2);
    const canceled = () => service.call('DELETE', `/orders/${first.id}`);
    expect(await added(canceled, 'order_transitions_total', { to: 'CANCELED' })).toBe(1);
  });

  test('counts webhooks by outcome, also those that nobody signed and forged ones, and reviews by reason', async () => {
    const { id } = await service.placeOrder((await service.createProduct()).id, 1);
    const event = { event_type: 'payment.succeeded', order_id: id, amount: 1 };
    const deliver = (headers: Record<string, string>) => () =>
      service.call('POST', '/webhooks/payment', '{}', headers);
    expect(await added(deliver({}), 'payment_events_total', { outcome: 'unsigned' })).toBe(1);
    const forged = deliver({ 'x-webhook-signature': 'x' });
    expect(await added(forged, 'payment_events_total', { outcome: 'forged' })).toBe(1);
    const reason = { reason: 'underpaid' };
    expect(await added(() => service.pay(event), 'payment_exceptions_total', reason)).toBe(1);
    const known = { outcome: 'already_processed' };
    expect(await added(() => service.pay(event), 'payment_events_total', known)).toBe(1);
  });
});
