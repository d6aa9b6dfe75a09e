import type { FastifyRequest } from 'fastify';
import { expect, test } from 'vitest';

import { prefixOf, withoutPrefix } from '../../src/http/api-prefix.ts';

test.each([
  ['/api/v1/orders/1?a=/api/v1', '/orders/1?a=/api/v1'],
  ['/api/v1', '/'],
  ['/api/v1/', '/'],
  ['/api/v1?a=1', '/?a=1'],
  ['//api///v1//products/', '//products/'],
  ['/a%70i/%76%31/products', '/products'],
  ['HTTP://elsewhere/api/v1/products', 'HTTP://elsewhere/products'],
  ['/api/v1/api/v1/products', '/api/v1/products'],
])('%s has the prefix: it is routed as %s', (url, routed) => {
  expect(withoutPrefix({ url })).toBe(routed);
  expect(prefixOf({ originalUrl: url } as FastifyRequest)).toBe('/api/v1');
});

test.each([
  '/',
  '*',
  '',
  '/products',
  '/api/v10/products',
  '/api/v2',
  '/API/v1/products',
  '/x/api/v1/products',
  '/api',
])('%j has none, and stays as it is', (url) => {
  expect(withoutPrefix({ url })).toBe(url);
  expect(prefixOf({ originalUrl: url } as FastifyRequest)).toBe('');
});
