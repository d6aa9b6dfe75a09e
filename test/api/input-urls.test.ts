import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';
const service = useSharedService();

const NO_IDS = [
  '0',
  '00',
  '01',
  '-1',
  '+1',
  '1.0',
  '1.5',
  'abc',
  '1a',
  '0x10',
  '1e3',
  '1_000',
  '1,2',
  'null',
  'true',
  'NaN',
  'Infinity',
  '9007199254740992',
  '9007199254740993',
  '10000000000000000',
  '12345678901234567890',
  '9'.repeat(500),
  '%20',
  '1%20',
  '%201',
  '1%00',
  '1%0A',
  '%2B1',
  '%D9%A1',
  '%EF%BC%91',
  "1'--",
  '1;2',
  '*',
];

const WITH_ID: [
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  before: string,
  after: string,
  body?: object,
][] = [
  ['GET', '/products/', ''],
  ['PUT', '/products/', '', { name: 'x' }],
  ['PATCH', '/products/', '', { name: 'x' }],
  ['DELETE', '/products/', ''],
  ['GET', '/orders/', ''],
  ['PUT', '/orders/', '', { status: 'PAID' }],
  ['PATCH', '/orders/', '/status', { status: 'PAID' }],
  ['DELETE', '/orders/', ''],
  ['GET', '/orders/', '/history'],
  ['GET', '/products/', '/stock-movements'],
  ['POST', '/products/', '/stock-adjustments', { delta: 1, reason: 'x' }],
  ['GET', '/products/', '/stock/explain'],
];

describe.each(WITH_ID)('%s %s{id}%s', (method, before, after, body) => {
  test.each(NO_IDS)('the id %s: 422', async (id) => {
    expect(await service.call(method, `${before}${id}${after}`, body)).toHaveFaults('path/id');
  });

  test('the id 9007199254740991 is one, and unknown: 404', async () => {
    const { status } = await service.call(method, `${before}9007199254740991${after}`, body);
    expect(status).toBe(404);
  });

  test('an escape that is no UTF-8: 400', async () => {
    const answer = await service.call(method, `${before}%FF${after}`, body);
    expect(answer).toBeProblem(400, 'malformed_request', 'The path is not a valid URL');
  });
});

test('%31 is the same URL as 1 (RFC 3986, 2.3), and answers the same', async () => {
  const { id } = await service.createProduct();
  const escaped = String(id).replaceAll(/\d/g, '%3$&');
  expect((await service.call('GET', `/products/${escaped}`)).body).toEqual(
    (await service.call('GET', `/products/${id}`)).body,
  );
});

const ROUTES: [method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: object][] = [
  ['GET', '/products'],
  ['POST', '/products', { sku: 'Q', name: 'x', price: 1, stock: 1 }],
  ['GET', '/products/1'],
  ['PUT', '/products/1', { name: 'x' }],
  ['PATCH', '/products/1', { name: 'x' }],
  ['DELETE', '/products/1'],
  ['GET', '/orders'],
  ['POST', '/orders', { product_id: 1, quantity: 1 }],
  ['GET', '/orders/1'],
  ['PUT', '/orders/1', { status: 'PAID' }],
  ['PATCH', '/orders/1/status', { status: 'PAID' }],
  ['DELETE', '/orders/1'],
  ['GET', '/orders/1/history'],
  ['GET', '/products/1/stock-movements'],
  ['POST', '/products/1/stock-adjustments', { delta: 1, reason: 'x' }],
  ['GET', '/products/1/stock/explain'],
  ['GET', '/inventory/audit'],
];

describe.each(['', '/api/v1'])('under the prefix "%s"', (prefix) => {
  test.each(ROUTES)('%s %s refuses a query parameter that nobody knows, and names it', async (...route) => {
    const [method, url, body] = route;
    expect(await service.call(method, `${prefix}${url}?colour=blue`, body)).toHaveFaults('query/colour');
  });

  test.each(ROUTES)('%s %s refuses a query parameter that is named twice', async (...route) => {
    const [method, url, body] = route;
    const known = { 'GET /products': 'limit', 'GET /orders': 'limit', 'POST /orders': 'dry_run' };
    const name = known[`${method} ${url}` as keyof typeof known] ?? 'colour';
    const value = name === 'limit' ? '1' : 'true';
    const answer = await service.call(method, `${prefix}${url}?${name}=${value}&${name}=${value}`, body);
    expect(answer).toHaveFaults(`query/${name}`);
  });

  test('POST /webhooks/payment refuses them, once the signature is right', async () => {
    const url = `${prefix}/webhooks/payment?colour=blue`;
    expect(await service.call('POST', url, {})).toBeProblem(401, 'missing_signature');
    const body = '{"event_type":"payment.succeeded","order_id":1}';
    const headers = { 'x-webhook-signature': signPayload(body) };
    expect(await service.call('POST', url, body, headers)).toHaveFaults('query/colour');
  });
});

describe('every parameter of the lists is refused when it is named twice', () => {
  test.each(['q=x', 'sku=x', 'active=true', 'stock_below=1', 'limit=1', 'skip=1', 'sort=id', 'cursor=x'])(
    '/products?%s',
    async (pair) => {
      const name = pair.split('=')[0] ?? '';
      expect(await service.call('GET', `/products?${pair}&${pair}`)).toHaveFaults(`query/${name}`);
    },
  );

  test.each([
    'status=PAID',
    'product_id=1',
    'customer_email=a@b',
    'created_from=2026-01-01T00:00:00Z',
    'created_to=2026-01-01T00:00:00Z',
  ])('/orders?%s', async (pair) => {
    const name = pair.split('=')[0] ?? '';
    expect(await service.call('GET', `/orders?${pair}&${pair}`)).toHaveFaults(`query/${name}`);
  });
});

describe('names that every object has are no parameters', () => {
  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'LIMIT', 'limit[]', 'limit%00'])(
    '?%s=1: 422',
    async (name) => {
      expect(await service.call('GET', `/products?${name}=1`)).toHaveFaults(
        `query/${decodeURIComponent(name)}`,
      );
    },
  );
});

describe('integers of a query are plain digits', () => {
  test.each(['', '-1', '01', '+1', '1.0', '1e2', '0x1', ' 1', '%201', '1%20', 'abc', '9007199254740993'])(
    'stock_below=%s and product_id=%s: 422',
    async (text) => {
      expect(await service.call('GET', `/products?stock_below=${text}`)).toHaveFaults('query/stock_below');
      expect(await service.call('GET', `/orders?product_id=${text}`)).toHaveFaults('query/product_id');
    },
  );
});
