import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';

const service = useSharedService();

const TAKES_A_BODY: ['POST' | 'PUT' | 'PATCH', string][] = [
  ['POST', '/products'],
  ['PUT', '/products/1'],
  ['PATCH', '/products/1'],
  ['POST', '/products/1/stock-adjustments'],
  ['POST', '/orders'],
  ['PUT', '/orders/1'],
  ['PATCH', '/orders/1/status'],
];

const KIB = 1024;

function nested(depth: number): string {
  return `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
}

/** A valid product in exactly so many bytes: JSON may be spaced. */
function productOf(bytes: number, sku: string): string {
  const json = JSON.stringify({ sku, name: 'x', price: 1, stock: 1 });
  return `${json.slice(0, -1)}${' '.repeat(bytes - json.length)}}`;
}

describe.each(TAKES_A_BODY)('%s %s', (method, url) => {
  const MALFORMED: [string, string | Buffer][] = [
    ['half of it', '{"sku":'],
    ['no JSON', 'sku=A'],
    ['blanks', '  '],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are no UTF-8', Buffer.from('{"name":"\xff"}', 'latin1')],
    ['33 levels', nested(33)],
    ['100,000 levels', nested(100_000)],
    ['__proto__', '{"__proto__":{"admin":true}}'],
    ['__proto__ in escapes', String.raw`{"\u005f_proto__":1}`],
    ['NaN', '{"price":NaN}'],
  ];
  test.each(MALFORMED)('%s: 400', async (_what, body) => {
    expect(await service.call(method, url, body)).toBeProblem(400, 'malformed_request');
  });

  test('32 levels are read, and refused for what they say: 422', async () => {
    expect(await service.call(method, url, nested(32))).toBeProblem(422, 'validation_failed');
  });

  test('an empty body: 400, with a content type, without one, and without a body at all', async () => {
    const empty = [
      await service.call(method, url, undefined, { 'content-type': 'application/json' }),
      await service.call(method, url, undefined, {
        'content-type': 'application/json',
        'content-length': '0',
      }),
      await service.call(method, url),
    ];
    for (const answer of empty)
      expect(answer).toBeProblem(400, 'malformed_request', 'The body is empty; send JSON');
  });

  const TYPES = [
    'text/plain',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'application/merge-patch+json',
    'application/problem+json',
    'application/octet-stream',
    'json',
    '*/*',
    '',
  ];
  test.each(TYPES)('the content type "%s": 415', async (type) => {
    const answer = await service.call(method, url, '{}', { 'content-type': type });
    expect(answer).toBeProblem(415, 'unsupported_media_type');
  });

  test('a body without a content type: 415', async () => {
    const { statusCode, body } = await service.app.inject({ method, url, payload: '{"name":"x"}' });
    expect([statusCode, JSON.parse(body).code]).toEqual([415, 'unsupported_media_type']);
  });

  test.each(['gzip', 'br', 'deflate', 'identity', 'gzip, gzip', ''])(
    'the content encoding "%s": 415',
    async (encoding) => {
      const answer = await service.call(method, url, '{}', { 'content-encoding': encoding });
      expect(answer).toBeProblem(415, 'unsupported_media_type');
    },
  );

  test('256 KiB and one byte: 413', async () => {
    const body = productOf(256 * KIB + 1, 'TOO-LARGE');
    expect(await service.call(method, url, body)).toBeProblem(413, 'payload_too_large');
  });
});

test('256 KiB are taken, to the byte', async () => {
  const { status, body } = await service.call('POST', '/products', productOf(256 * KIB, 'LARGE'));
  expect([status, body.sku]).toEqual([201, 'LARGE']);
});

test('webhooks take 64 KiB, and not one byte more: 413 before any look at the signature', async () => {
  const { id } = await service.placeOrder((await service.createProduct()).id, 1);
  const event = (bytes: number) => {
    const json = JSON.stringify({ event_type: 'payment.succeeded', order_id: id });
    return `${json.slice(0, -1)}${' '.repeat(bytes - json.length)}}`;
  };
  const send = (body: string, headers: Record<string, string> = {}) =>
    service.call('POST', '/webhooks/payment', body, headers);

  const large = event(64 * KIB + 1);
  expect(await send(large)).toBeProblem(413, 'payload_too_large');
  expect(await send(large, { 'x-webhook-signature': signPayload(large) })).toBeProblem(
    413,
    'payload_too_large',
  );
  const fits = event(64 * KIB);
  expect((await send(fits, { 'x-webhook-signature': signPayload(fits) })).body.new_status).toBe('PAID');
});

test.each([
  'application/json',
  'application/json; charset=utf-8',
  'APPLICATION/JSON',
  'application/json;charset=UTF-8',
])('the content type %s is JSON', async (type) => {
  const sku = `TYPE-${type.length}-${type === 'APPLICATION/JSON' ? 'A' : 'B'}`;
  const body = { sku, name: 'x', price: 1, stock: 1 };
  expect((await service.call('POST', '/products', body, { 'content-type': type })).status).toBe(201);
});

describe('DELETE asks for no body', () => {
  test.each<[string, Record<string, string>]>([
    ['a JSON content type and nothing else', { 'content-type': 'application/json' }],
    ['a JSON content type and a length of 0', { 'content-type': 'application/json', 'content-length': '0' }],
    ['no content type', {}],
  ])('%s: 204', async (_what, headers) => {
    const product = await service.createProduct();
    expect((await service.call('DELETE', `/products/${product.id}`, undefined, headers)).status).toBe(204);
    const order = await service.placeOrder((await service.createProduct()).id, 1);
    expect((await service.call('DELETE', `/orders/${order.id}`, undefined, headers)).status).toBe(204);
  });
});

test('a body that was refused for __proto__ has changed no prototype', () => {
  expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
});
