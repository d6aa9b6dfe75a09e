import { expect, test } from 'vitest';

import { type Answer, createServiceClient, nextPath } from '../../scripts/support/service-client.ts';

const HOST = 'http://shop.example';

/** Where a client of this base URL goes after a page of products with this Link. */
function afterPage(baseUrl: string, link?: string): string | undefined {
  const client = createServiceClient({ baseUrl, apiKey: undefined });
  const page: Answer = {
    request: { method: 'GET', url: `${baseUrl}/products?limit=1`, body: undefined },
    status: 200,
    headers: new Headers(link === undefined ? {} : { link: `<${link}>; rel="next"` }),
    text: '[]',
    body: [],
    durationMs: 1,
  };
  return nextPath(client, page);
}

test('a client at /api/v1 follows a link to /api/v1/products to /products, so that the prefix is there 1 time', () => {
  expect(afterPage(`${HOST}/api/v1`, '/api/v1/products?limit=1&cursor=a')).toBe('/products?limit=1&cursor=a');
});

test('a client without a prefix follows a link as it is, and stops at a page with 0 links', () => {
  expect(afterPage(HOST, '/products?limit=1&cursor=a')).toBe('/products?limit=1&cursor=a');
  expect(afterPage(HOST)).toBeUndefined();
});

test('a link that leads out of the base URL is no page of the list', () => {
  expect(() => afterPage(`${HOST}/api/v1`, '/products?cursor=a')).toThrow('a next page below');
  expect(() => afterPage(HOST, 'http://elsewhere.example/products?cursor=a')).toThrow('a next page below');
});
