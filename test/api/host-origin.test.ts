import { beforeAll, describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { type TestService, useSharedService, useTestService } from '../support/service.ts';
import { exchange, listen } from '../support/sockets.ts';

/*
 * Who may use a service that is open: every method, under every kind of Host, from every kind of page.
 */
const open = useSharedService({ config: { allowedHosts: ['shop.test', '192.168.1.5'] } });
const production = useSharedService({ config: { environment: 'production' } });
let port: number;

beforeAll(async () => {
  port = await listen(open);
});

const OURS = [
  'localhost',
  'localhost:8000',
  'LOCALHOST:1',
  'localhost.',
  '127.0.0.1',
  '127.0.0.1:65535',
  '127.1.2.3',
  '127.0.0.1.',
  '[::1]',
  '[::1]:8000',
  'shop.test',
  'Shop.Test:443',
  '192.168.1.5:80',
];
const FOREIGN = [
  'evil.example',
  'evil.example:8000',
  'localhost.evil.example',
  'evil.localhost.example',
  '127.0.0.1.evil.example',
  'x.shop.test',
  '0.0.0.0',
  '10.0.0.1:8000',
  '[::2]',
  '2130706433',
];
const SAFE = ['GET', 'HEAD', 'OPTIONS'] as const;
const UNSAFE = ['POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** What a browser says of a page that sends a request to `host`. */
const PAGES = {
  none: () => ({}),
  same: (host: string) => ({ origin: `http://${host}` }),
  'same, as a new browser says': (host: string) => ({
    origin: `http://${host}`,
    'sec-fetch-site': 'same-origin',
  }),
  'the address bar': () => ({ 'sec-fetch-site': 'none' }),
  foreign: () => ({ origin: 'https://evil.example' }),
  'foreign, as a new browser says': () => ({
    origin: 'https://evil.example',
    'sec-fetch-site': 'cross-site',
  }),
  'foreign without an origin': () => ({ 'sec-fetch-site': 'cross-site' }),
  'another port': () => ({ origin: 'http://localhost:1234', 'sec-fetch-site': 'same-site' }),
  'another port, old browser': () => ({ origin: 'http://localhost:1234' }),
  sandboxed: () => ({ origin: 'null' }),
} satisfies Record<string, (host: string) => Record<string, string>>;
const FRIENDS = new Set(['none', 'same', 'same, as a new browser says', 'the address bar']);

function call(service: TestService, method: (typeof SAFE | typeof UNSAFE)[number], headers: object) {
  // Replaying a delivery takes no body, so a page needs no permission to send it.
  return service.call(method, '/webhooks/inbox/1/replay', undefined, headers as Record<string, string>);
}

describe.each(Object.entries(PAGES))('a request that comes from: %s', (page, headersFor) => {
  test.each([...SAFE, ...UNSAFE])('%s is judged by Host, then by origin', async (method) => {
    for (const host of [...OURS, ...FOREIGN]) {
      const answer = await call(open, method, { host, ...headersFor(host) });
      const isSafe = SAFE.some((safe) => safe === method);
      const wanted = FOREIGN.includes(host) ? 421 : isSafe || FRIENDS.has(page) ? [404, 405] : 403;
      expect([wanted].flat(), `${host}: ${answer.text}`).toContain(answer.status);
    }
  });

  test('production judges neither: there, a proxy does', async () => {
    for (const host of ['localhost', 'evil.example', '10.0.0.1:8000']) {
      expect((await call(production, 'POST', { host, ...headersFor(host) })).status).toBe(404);
    }
  });
});

test('both refusals are problem documents, and come before anything is done', async () => {
  const product = { sku: 'FOREIGN', name: 'x', price: 1, stock: 1 };
  const misdirected = await open.call('POST', '/products', product, { host: 'evil.example' });
  expect(misdirected).toBeProblem(421, 'misdirected_request');
  expect(misdirected.body.detail).toContain('evil.example');
  const crossSite = await open.call('POST', '/products', product, { origin: 'https://evil.example' });
  expect(crossSite).toBeProblem(403, 'cross_site_request');
  expect((await open.call('GET', '/products?sku=FOREIGN')).body).toEqual([]);
});

test('every path is behind the check: documentation, health, unknown ones', async () => {
  for (const path of ['/health', '/metrics', '/docs', '/openapi.json', '/nope', '/api/v1/orders']) {
    const answer = await open.call('GET', path, undefined, { host: 'evil.example' });
    expect(answer).toBeProblem(421, 'misdirected_request');
  }
});

test('a signed webhook comes from a server, which sends no Origin, and is taken; a page cannot send one', async () => {
  const { id } = await open.placeOrder((await open.createProduct()).id, 1);
  const event = { event_type: 'payment.succeeded', order_id: id };
  expect((await open.pay(event, { origin: 'https://evil.example' })).status).toBe(403);
  expect((await open.pay(event)).status).toBe(200);
});

function get(target: string) {
  return exchange(port, `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
}

test('a target with a host of its own overrules the header', async () => {
  expect((await get('http://evil.example/products'))[0]?.status).toBe(421);
  expect((await get('HTTP://user@evil.example/products'))[0]?.status).toBe(421);
  expect((await get('http://localhost/products'))[0]?.status).toBe(200);
});

test('an empty Host is no name of ours', async () => {
  const [answer] = await exchange(port, 'GET /products HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n');
  expect(answer?.status).toBe(421);
});

test('HTTP/1.0 without Host, as old probes speak it, is answered', async () => {
  expect((await exchange(port, 'GET /products HTTP/1.0\r\n\r\n'))[0]?.status).toBe(200);
});

test('in production, ALLOWED_HOSTS names every host besides loopback', async () => {
  const named = await useTestService({
    database: open.database,
    config: { environment: 'production', allowedHosts: ['shop.example'] },
  });
  const statusFor = async (host: string) =>
    (await named.call('GET', '/products', undefined, { host })).status;
  expect(await statusFor('shop.example')).toBe(200);
  expect(await statusFor('127.0.0.1:8000')).toBe(200);
  expect(await statusFor('evil.example')).toBe(421);
});
