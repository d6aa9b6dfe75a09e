import { beforeAll, describe, expect, test } from 'vitest';

import { useSharedService } from '../support/service.ts';

interface Media {
  schema: Schema;
  examples?: unknown;
  example?: unknown;
}

interface Schema {
  $ref?: string;
  type?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  examples?: unknown[];
  example?: unknown;
}

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<
    string,
    { description: string; content?: Record<string, Media>; headers?: Record<string, unknown> }
  >;
}

interface OpenApi {
  openapi: string;
  info: { title: string; version: string };
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    responses: Record<string, { content: Record<string, Media> }>;
  };
}

const service = useSharedService();
let document: OpenApi;

beforeAll(async () => {
  document = (await service.call('GET', '/openapi.json')).body;
});

/** The contract of this stage: each path with its methods. */
const ROUTES = {
  '/health': ['get'],
  '/healthz': ['get'],
  '/readyz': ['get'],
  '/metrics': ['get'],
  '/': ['get'],
  '/problems': ['get'],
  '/problems/{code}': ['get'],
  '/products': ['get', 'post'],
  '/products/{id}': ['delete', 'get', 'patch', 'put'],
  '/orders': ['get', 'post'],
  '/orders/{id}': ['delete', 'get', 'put'],
  '/orders/{id}/status': ['patch'],
  '/orders/{id}/history': ['get'],
  '/products/{id}/stock-movements': ['get'],
  '/products/{id}/stock-adjustments': ['post'],
  '/products/{id}/stock/explain': ['get'],
  '/inventory/audit': ['get'],
  '/webhooks/payment': ['post'],
  '/webhooks/inbox': ['get'],
  '/webhooks/inbox/{id}': ['get'],
  '/webhooks/inbox/{id}/replay': ['post'],
  '/payments/exceptions': ['get'],
  '/payments/exceptions/{id}': ['get'],
  '/payments/exceptions/{id}/resolve': ['post'],
};

function operations(): [name: string, operation: Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  );
}

function resolve(schema: Schema): Schema {
  const name = schema.$ref?.replace('#/components/schemas/', '');
  return name === undefined ? schema : (document.components.schemas[name] ?? {});
}

test('/openapi.json is OpenAPI 3.1 of the Orders & Inventory Microservice, version 1.0.0', () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  expect(document.info).toMatchObject({ title: 'Orders & Inventory Microservice', version: '1.0.0' });
  const tags = document.tags.map(({ name }) => name);
  expect(tags.slice(0, 2)).toEqual(['Products', 'Orders']);
  expect(tags.at(-1)).toBe('General');
});

test('every route is documented, with every method, and only one copy of each', () => {
  const documented = Object.fromEntries(
    Object.entries(document.paths).map(([path, methods]) => [path, Object.keys(methods).toSorted()]),
  );
  expect(documented).toMatchObject(ROUTES);
  expect(Object.keys(document.paths).filter((path) => path.startsWith('/api/'))).toEqual([]);
});

test('every path of the document answers: none is 404 for want of a route, with the prefix and without', async () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const prefix of ['', '/api/v1']) {
      for (const method of Object.keys(methods) as ['get']) {
        const url = prefix + path.replace('{id}', '999999').replace('{code}', 'not_found');
        // A stream would not end by itself.
        const { body } = await service.call(method, path === '/events/stream' ? `${url}?after=none` : url);
        expect(body?.detail ?? '').not.toContain('There is nothing at');
        expect(body?.code).not.toBe('method_not_allowed');
      }
    }
  }
});

test('every operation has a name of its own, a summary, and one tag that is declared', () => {
  const names = operations().map(([, { operationId }]) => operationId);
  expect(new Set(names).size).toBe(names.length);
  const tags = new Set(document.tags.map(({ name }) => name));
  const bad = operations().filter(
    ([, o]) => !o.operationId || !o.summary || o.tags.length !== 1 || !tags.has(o.tags[0] ?? ''),
  );
  expect(bad).toEqual([]);
});

test('every answer from 400 on is a problem document', () => {
  const others = operations().flatMap(([name, { responses }]) =>
    Object.entries(responses)
      .filter(([status]) => Number(status) >= 400)
      .filter(
        ([, { content }]) =>
          content?.['application/problem+json']?.schema.$ref !== '#/components/schemas/Problem',
      )
      .map(([status]) => `${name} ${status}`),
  );
  expect(others).toEqual([]);
});

test('every call tells of the refusals that any call can get, once and shared', () => {
  const without = operations().filter(
    ([, { responses }]) =>
      (responses['default'] as { $ref?: string } | undefined)?.$ref !==
      '#/components/responses/GeneralRefusal',
  );
  expect(without).toEqual([]);
  const { content } = document.components.responses['GeneralRefusal'] ?? {};
  expect(Object.keys(content?.['application/problem+json']?.examples ?? {})).toEqual([
    'malformed_request',
    'cross_site_request',
    'request_timeout',
    'expectation_failed',
    'misdirected_request',
    'headers_too_large',
    'internal_error',
    'not_implemented',
  ]);
  // A status that the call lists itself hides the shared answer.
  const webhook = document.paths['/webhooks/payment']?.['post']?.responses ?? {};
  expect(webhook['403']?.content?.['application/problem+json']?.examples).toHaveProperty(
    'cross_site_request',
  );
});

test('an ETag is told where a version is taken: by products, orders, exceptions and endpoints, not by the inbox', () => {
  const tells = operations().flatMap(([name, { responses }]) =>
    'ETag' in (responses['200']?.headers ?? {}) ? [name] : [],
  );
  expect(tells.toSorted()).toEqual([
    'get /orders/{id}',
    'get /payments/exceptions/{id}',
    'get /products/{id}',
    'get /webhook-endpoints/{id}',
    'patch /orders/{id}/status',
    'patch /products/{id}',
    'patch /webhook-endpoints/{id}',
    'post /payments/exceptions/{id}/resolve',
    'post /webhook-endpoints/{id}/rotate',
    'put /orders/{id}',
    'put /products/{id}',
  ]);
});

test('every reference leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
  const missing = references
    .map(([, name = '']) => name)
    .filter((name) => !(name in document.components.schemas));
  expect(references.length).toBeGreaterThan(10);
  expect(missing).toEqual([]);
});

function exampleOf(path: string, method: string): Record<string, unknown>[] {
  const media = document.paths[path]?.[method]?.requestBody?.content['application/json'];
  return (media && (resolve(media.schema).examples as Record<string, unknown>[])) ?? [];
}

function membersOf(name: string): string[] {
  return Object.keys(document.components.schemas[name]?.properties ?? {});
}

describe('the examples of requests work as they stand', () => {
  test('a product is created, changed, ordered in both forms, and paid', async () => {
    const [product] = exampleOf('/products', 'post');
    const created = await service.call('POST', '/products', product);
    expect(created.status).toBe(201);
    await service.createProduct();
    const [edit] = exampleOf('/products/{id}', 'patch');
    expect((await service.call('PATCH', `/products/${created.body.id}`, edit)).status).toBe(200);
    const adjustments = exampleOf('/products/{id}/stock-adjustments', 'post');
    expect(adjustments).toHaveLength(2);
    for (const adjustment of adjustments) {
      const url = `/products/${created.body.id}/stock-adjustments`;
      expect((await service.call('POST', url, adjustment)).status).toBe(201);
    }
    const orders = exampleOf('/orders', 'post');
    expect(orders).toHaveLength(2);
    for (const order of orders) expect((await service.call('POST', '/orders', order)).status).toBe(201);
    const [change] = exampleOf('/orders/{id}', 'put');
    expect((await service.call('PUT', '/orders/2', change)).status).toBe(200);
    const [event] = exampleOf('/webhooks/payment', 'post');
    expect((await service.pay(event ?? {})).status).toBe(200);
    await service.pay({ ...event, event_id: 'twice' });
    const [resolution] = exampleOf('/payments/exceptions/{id}/resolve', 'post');
    const resolved = await service.call('POST', '/payments/exceptions/1/resolve', resolution);
    expect(resolved.status).toBe(200);
    expect(Object.keys(resolved.body).toSorted()).toEqual(membersOf('PaymentException').toSorted());
    const { body: delivery } = await service.call('GET', '/webhooks/inbox/1');
    expect(Object.keys(delivery).toSorted()).toEqual(membersOf('InboundDelivery').toSorted());
  });

  test('the members of an answer are those of its schema', async () => {
    const { id } = await service.createProduct();
    const { body: product } = await service.call('GET', `/products/${id}`);
    const { body: order } = await service.call('GET', `/orders/${(await service.placeOrder(id, 1)).id}`);
    const { body: adjusted } = await service.call('POST', `/products/${id}/stock-adjustments`, {
      delta: 1,
      reason: 'found',
    });
    const { body: explained } = await service.call('GET', `/products/${id}/stock/explain`);
    const { body: audit } = await service.call('GET', '/inventory/audit');
    expect(Object.keys(adjusted)).toEqual(membersOf('AdjustedStock'));
    expect(Object.keys(adjusted.movement)).toEqual(membersOf('StockMovement'));
    expect(Object.keys(explained)).toEqual(membersOf('StockExplanation'));
    expect(Object.keys(audit)).toEqual(membersOf('InventoryAudit'));
    expect(Object.keys(product).toSorted()).toEqual(membersOf('Product').toSorted());
    expect(membersOf('Order')).toEqual(expect.arrayContaining(Object.keys(order)));
  });
});
