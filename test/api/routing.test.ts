import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
const service = useSharedService();

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const;

/** Every path of the API with the methods that it takes. */
const PATHS: Record<string, string> = {
  '/health': 'GET, HEAD',
  '/healthz': 'GET, HEAD',
  '/readyz': 'GET, HEAD',
  '/metrics': 'GET, HEAD',
  '/problems': 'GET, HEAD',
  '/problems/not_found': 'GET, HEAD',
  '/products': 'GET, HEAD, POST',
  '/products/1': 'DELETE, GET, HEAD, PATCH, PUT',
  '/products/1/stock-movements': 'GET, HEAD',
  '/products/1/stock-adjustments': 'POST',
  '/products/1/stock/explain': 'GET, HEAD',
  '/inventory/audit': 'GET, HEAD',
  '/orders': 'GET, HEAD, POST',
  '/orders/1': 'DELETE, GET, HEAD, PUT',
  '/orders/1/status': 'PATCH',
  '/orders/1/history': 'GET, HEAD',
  '/webhooks/payment': 'POST',
};

describe.each(['', '/api/v1'])('under the prefix "%s"', (prefix) => {
  const wrong = Object.entries(PATHS).flatMap(([path, allow]) =>
    METHODS.filter((method) => !allow.split(', ').includes(method)).map((method) => ({
      method,
      path,
      allow,
    })),
  );

  test.each(wrong)('$method $path: 405 with Allow: $allow', async ({ method, path, allow }) => {
    const answer = await service.call(method, `${prefix}${path}`);
    expect([answer.status, answer.headers.allow]).toEqual([405, allow]);
    expect(answer.headers['x-request-id']).toBeDefined();
  });

  test('405 is a problem document that names the methods, whatever the id and the body', async () => {
    const answer = await service.call('POST', `${prefix}/products/abc`, '{"half":');
    expect(answer).toBeProblem(405, 'method_not_allowed');
    expect(answer.body.detail).toContain('DELETE, GET, HEAD, PATCH, PUT');
  });

  const unknown = [
    '/nope',
    '/product',
    '/products/1/stock',
    '/orders/1/status/x',
    '/Products',
    '/webhooks',
    '/api/v2',
  ];
  test.each(unknown)('%s is nothing: 404 for every method', async (path) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      expect(await service.call(method, `${prefix}${path}`)).toBeProblem(404, 'not_found');
    }
  });

  test('a trailing slash makes no difference', async () => {
    const { id } = await service.createProduct();
    const order = await service.placeOrder(id, 1);
    const paths = [
      '/products',
      `/products/${id}`,
      '/orders',
      `/orders/${order.id}`,
      `/orders/${order.id}/history`,
    ];
    for (const path of paths) {
      const [plain, slash] = [
        await service.call('GET', prefix + path),
        await service.call('GET', `${prefix}${path}/`),
      ];
      expect([plain.status, slash.text]).toEqual([200, plain.text]);
    }
    const created = await service.call('POST', `${prefix}/products/`, {
      sku: `S${prefix.length}`,
      name: 'x',
      price: 1,
      stock: 1,
    });
    expect(created.headers.location).toBe(`${prefix}/products/${created.body.id}`);
  });

  test('HEAD answers what GET answers, without the body', async () => {
    const { id } = await service.createProduct();
    for (const path of [`/products/${id}`, '/products', '/health']) {
      const [get, head] = [
        await service.call('GET', prefix + path),
        await service.call('HEAD', prefix + path),
      ];
      expect([head.status, head.text, head.headers.etag]).toEqual([200, '', get.headers.etag]);
      expect(head.headers['content-length']).toBe(get.headers['content-length']);
    }
  });
});

describe('/api/v1 is the same API', () => {
  test('Location keeps the prefix, and what is made there is read without it', async () => {
    const product = { sku: 'PREFIXED', name: 'x', price: 1, stock: 5 };
    const created = await service.call('POST', '/api/v1/products', product);
    expect(created.headers.location).toBe(`/api/v1/products/${created.body.id}`);
    expect((await service.call('GET', `/products/${created.body.id}`)).body).toEqual(created.body);
    const order = await service.call('POST', '/api/v1/orders', { product_id: created.body.id, quantity: 1 });
    expect(order.headers.location).toBe(`/api/v1/orders/${order.body.id}`);
    expect((await service.call('GET', `/api/v1/orders/${order.body.id}`)).body).toEqual(order.body);
  });

  test('Link keeps the prefix', async () => {
    await service.createProduct();
    await service.createProduct();
    const { headers } = await service.call('GET', '/api/v1/products?limit=1');
    expect(headers.link).toMatch(/^<\/api\/v1\/products\?limit=1&cursor=[\w-]+>; rel="next"$/);
  });

  test('a refusal says the path as it was called', async () => {
    const answer = await service.call('GET', '/api/v1/nothing/here');
    expect(answer).toBeProblem(404, 'not_found', 'There is nothing at GET /api/v1/nothing/here');
  });

  test('payments arrive there, too', async () => {
    const { id } = await service.placeOrder((await service.createProduct()).id, 1);
    const answer = await service.call('POST', '/api/v1/webhooks/payment', { order_id: id });
    expect(answer).toBeProblem(401, 'missing_signature', 'Missing webhook signature');
  });
});
