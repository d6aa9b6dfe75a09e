import { describe, expect, test } from 'vitest';

import { problems } from '../../src/lib/errors.ts';
import '../support/problems.ts';
import { type TestService, useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService();

const MADE = /^[A-Za-z0-9_-]{12}-[0-9a-z]+$/;

describe('X-Request-ID', () => {
  test.each(['a', 'req_1.2-3', 'A'.repeat(64), '0'])('%s is taken over', async (id) => {
    const { headers } = await service.call('GET', '/products', undefined, { 'x-request-id': id });
    expect(headers['x-request-id']).toBe(id);
  });

  test.each(['', ' ', 'a b', 'a/b', 'a"b', 'ä', '<script>', 'a,b', 'A'.repeat(65), '{}'])(
    '%j is not fit to be logged, and replaced',
    async (id) => {
      const { headers } = await service.call('GET', '/products', undefined, { 'x-request-id': id });
      expect(headers['x-request-id']).toMatch(MADE);
    },
  );

  test('is made when there is none, another one for each request', async () => {
    const ids = [];
    for (let i = 0; i < 10; i++) ids.push((await service.call('GET', '/health')).headers['x-request-id']);
    expect(new Set(ids).size).toBe(10);
    expect(ids.join(' ')).toMatch(/^([A-Za-z0-9_-]{14,} ?){10}$/);
  });

  const CALLS: [what: string, status: number, ...Parameters<TestService['call']>][] = [
    ['a list', 200, 'GET', '/orders'],
    ['a page of text', 200, 'GET', '/metrics'],
    ['an unknown path', 404, 'GET', '/nope'],
    ['a URL that is none', 400, 'GET', '/products/%FF'],
    ['an unknown product', 404, 'GET', '/products/1'],
    ['an unknown order', 404, 'DELETE', '/orders/1'],
    ['a wrong method', 405, 'DELETE', '/products'],
    ['a malformed body', 400, 'POST', '/products', '{'],
    ['a wrong body', 422, 'POST', '/products', '{}'],
    ['a wrong query', 422, 'GET', '/products?x=1'],
    ['a wrong content type', 415, 'POST', '/products', '{}', { 'content-type': 'text/plain' }],
    ['too large a body', 413, 'POST', '/products', ' '.repeat(300_000)],
    ['a payment that nobody signed', 401, 'POST', '/webhooks/payment', '{}'],
    ['a forged payment', 403, 'POST', '/webhooks/payment', '{}', { 'x-webhook-signature': 'x' }],
  ];
  test.each(CALLS)(
    'is on the answer to %s (%i)',
    async (_what, expected, method, url, body, headers = {}) => {
      const answer = await service.call(method, url, body, { ...headers, 'x-request-id': 'mine' });
      expect([answer.status, answer.headers['x-request-id']]).toEqual([expected, 'mine']);
      expect(answer.status >= 400 ? answer.body.request_id : 'mine').toBe('mine');
    },
  );

  test('is stored with every movement and event that the request wrote', async () => {
    const call = (method: 'POST' | 'PATCH' | 'PUT' | 'DELETE', url: string, body: unknown, id: string) =>
      service.call(method, url, body, { 'x-request-id': id });
    const product = { sku: 'TRACED', name: 'x', price: 1, stock: 5 };
    const { id } = (await call('POST', '/products', product, 'r1')).body;
    await call('PATCH', `/products/${id}`, { stock: 6 }, 'r2');
    const { id: order } = (await call('POST', '/orders', { product_id: id, quantity: 1 }, 'r3')).body;
    await service.pay({ event_type: 'payment.succeeded', order_id: order }, { 'x-request-id': 'r4' });
    await call('DELETE', `/orders/${order}`, undefined, 'r5');

    const movements = await service.database.query(
      'select kind, request_id from stock_movements order by id',
    );
    expect(movements).toEqual([
      { kind: 'received', request_id: 'r1' },
      { kind: 'adjusted', request_id: 'r2' },
      { kind: 'reserved', request_id: 'r3' },
      { kind: 'released', request_id: 'r5' },
    ]);
    expect(await service.database.query('select type, request_id from events order by id')).toEqual([
      { type: 'product.created', request_id: 'r1' },
      { type: 'product.updated', request_id: 'r2' },
      { type: 'order.created', request_id: 'r3' },
      { type: 'payment.recorded', request_id: 'r4' },
      { type: 'order.paid', request_id: 'r4' },
      { type: 'order.canceled', request_id: 'r5' },
    ]);
    expect(
      await service.database.query(
        "select request_id from inbound_deliveries where verdict = 'valid' and outcome <> 'failed'",
      ),
    ).toEqual([{ request_id: 'r4' }]);
  });
});

describe('a problem document', () => {
  test('has exactly the members of RFC 9457 and ours, and validation adds errors', async () => {
    const unknown = await service.call('GET', '/products/999999');
    expect(Object.keys(unknown.body).toSorted()).toEqual(
      ['code', 'detail', 'request_id', 'status', 'title', 'type'].toSorted(),
    );
    const wrong = await service.call('GET', '/products/0');
    expect(Object.keys(wrong.body)).toContain('errors');
    expect(wrong.body.errors).toEqual([
      {
        path: 'path/id',
        message: 'must be >= 1',
        fix: 'Send an integer from 1 to 9007199254740991.',
      },
    ]);
  });

  test('says nothing of a failure inside: 500 and a blank sentence, whatever went wrong', async () => {
    // A table that is gone fails like a fault of ours, with SQL and names in its text.
    const broken = await useTestService();
    await broken.database.query('alter table products rename column sku to was_sku');
    const answer = await broken.call('GET', '/products');
    expect(answer).toBeProblem(500, 'internal_error', 'Something went wrong on our side');
    expect(answer.text).not.toMatch(/sku|column|products/i);
  });

  test.each(Object.entries(problems))('%s is explained under its type', async (code, { title, status }) => {
    const answer = await service.call('GET', `/problems/${code}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ type: `/problems/${code}`, code, title, status });
    expect(answer.body).toMatchObject({
      means: expect.stringMatching(/\.$/),
      remedy: expect.stringMatching(/\.$/),
    });
  });

  test.each(['nope', '__proto__', 'toString', '%00'])('the code %s does not exist: 404', async (code) => {
    expect(await service.call('GET', `/problems/${code}`)).toBeProblem(404, 'not_found');
  });
});
