import { beforeAll, describe, expect, test } from 'vitest';

import { type ProblemCode, problems } from '../../src/lib/errors.ts';
import { useSharedService } from '../support/service.ts';

interface Media {
  schema: Schema;
  example?: unknown;
  examples?: Record<string, { value: Record<string, unknown> }>;
}

interface Schema {
  $ref?: string;
  format?: string;
  enum?: string[];
  oneOf?: Schema[];
  required?: string[];
  properties?: Record<string, Schema>;
}

interface Parameter {
  name: string;
  example?: unknown;
  schema: { format?: string };
}

interface Operation {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<
    string,
    { content?: Record<string, Media>; headers?: Record<string, { example?: unknown }> }
  >;
}

interface OpenApi {
  servers: { url: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const service = useSharedService();
let document: OpenApi;

beforeAll(async () => {
  document = (await service.call('GET', '/openapi.json')).body;
});

function operations(): [name: string, operation: Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  );
}

function operationAt(method: string, path: string): Operation {
  const found = document.paths[path]?.[method];
  if (found === undefined) throw new Error(`${method} ${path} is not documented`);
  return found;
}

/** The operations that take this parameter. */
function takes(name: string): [name: string, operation: Operation][] {
  return operations().filter(([, { parameters = [] }]) =>
    parameters.some((parameter) => parameter.name === name),
  );
}

function schema(name: string): Schema {
  return document.components.schemas[name] ?? {};
}

/** The examples of an answer that refuses, by code. */
function refusals(
  method: string,
  path: string,
  status: number,
): Record<string, { value: Record<string, unknown> }> {
  const { content = {} } = operationAt(method, path).responses[status] ?? {};
  return content['application/problem+json']?.examples ?? {};
}

describe('examples', () => {
  test('every body, asked for or answered, has examples by name beside its schema', () => {
    const without = operations().flatMap(([name, { requestBody, responses }]) =>
      [requestBody, ...Object.values(responses)].flatMap((part) =>
        Object.entries(part?.content ?? {}).flatMap(([type, { example, examples = {} }]) =>
          example === undefined && Object.keys(examples).length > 0 ? [] : [`${name} ${type}`],
        ),
      ),
    );
    expect(without).toEqual([]);
  });

  test('every parameter and every header of an answer has an example', () => {
    const without = operations().flatMap(([name, { parameters = [], responses }]) => [
      ...parameters.flatMap((parameter) =>
        parameter.example === undefined ? [`${name} ${parameter.name}`] : [],
      ),
      ...Object.entries(responses).flatMap(([status, { headers = {} }]) =>
        Object.entries(headers).flatMap(([header, { example }]) =>
          example === undefined ? [`${name} ${status} ${header}`] : [],
        ),
      ),
    ]);
    expect(without).toEqual([]);
  });

  test('a refusal shows the codes that its call answers with, each with its own status and title', () => {
    const wrong = operations().flatMap(([name, { responses }]) =>
      Object.entries(responses).flatMap(([status, { content }]) =>
        Object.entries(content?.['application/problem+json']?.examples ?? {}).flatMap(([code, { value }]) => {
          const known = problems[code as ProblemCode];
          const fits =
            known?.status === Number(status) && value['code'] === code && value['title'] === known.title;
          return fits ? [] : [`${name} ${status} ${code}`];
        }),
      ),
    );
    expect(wrong).toEqual([]);
    expect(Object.keys(refusals('post', '/orders', 409))[0]).toBe('insufficient_stock');
    expect(Object.keys(refusals('post', '/products', 409))[0]).toBe('duplicate_sku');
    expect(Object.keys(refusals('get', '/orders/{id}', 404))).toEqual(['order_not_found']);
  });

  test('a 412 shows the resource as a GET of it answers', () => {
    for (const [method, path, resource] of [
      ['put', '/products/{id}', '/products/{id}'],
      ['post', '/products/{id}/stock-adjustments', '/products/{id}'],
      ['patch', '/orders/{id}/status', '/orders/{id}'],
      ['delete', '/orders/{id}', '/orders/{id}'],
    ] as const) {
      const read =
        operationAt('get', resource).responses['200']?.content?.['application/json']?.examples ?? {};
      const { current } = refusals(method, path, 412)['version_mismatch']?.value ?? {};
      expect(current).toEqual(Object.values(read)[0]?.value);
      expect(current).toHaveProperty('created_at');
    }
  });

  test('what is documented as a refusal of an order is what the service answers', async () => {
    const { id } = await service.createProduct({ stock: 70 });
    const { body } = await service.call('POST', '/orders', { product_id: id, quantity: 200 });
    const example = refusals('post', '/orders', 409)['insufficient_stock']?.value ?? {};
    expect(body).toEqual({
      ...example,
      request_id: body.request_id,
      shortages: [{ product_id: id, available: 70, requested: 200 }],
    });
  });
});

describe('what generators read', () => {
  test('an order has two forms, each closed and with its own required fields', () => {
    const forms = (schema('CreateOrder').oneOf ?? []).map(({ $ref = '' }) =>
      schema($ref.split('/').at(-1) ?? ''),
    );
    expect(forms.map(({ required }) => required)).toEqual([['product_id', 'quantity'], ['items']]);
    for (const form of forms) expect(form).toMatchObject({ additionalProperties: false });
    for (const { properties } of forms) expect(Object.keys(properties ?? {})).toContain('customer_email');
  });

  test('a problem has its code as an enum of every code, and its members have types', () => {
    expect(schema('Problem').properties?.['code']?.$ref).toBe('#/components/schemas/ProblemCode');
    expect(schema('ProblemCode').enum?.toSorted()).toEqual(Object.keys(problems).toSorted());
    expect(Object.keys(schema('Problem').properties ?? {})).toEqual(
      expect.arrayContaining(['errors', 'shortages', 'allowed', 'current']),
    );
  });

  test('what an order consists of has names', () => {
    expect(schema('OrderStatus').enum).toEqual(['PENDING', 'PAID', 'SHIPPED', 'CANCELED']);
    expect(schema('Order').properties?.['status']?.$ref).toBe('#/components/schemas/OrderStatus');
    expect(schema('Order').properties?.['items']).toMatchObject({
      items: { $ref: '#/components/schemas/OrderItem' },
    });
  });

  test('the successes of one call are one schema', () => {
    const mixed = operations().filter(([, { responses }]) => {
      const successes = Object.entries(responses).filter(([status]) => status.startsWith('2'));
      const schemas = successes.map(([, { content }]) =>
        JSON.stringify(content?.['application/json']?.schema),
      );
      return new Set(schemas).size > 1;
    });
    expect(mixed.map(([name]) => name)).toEqual([]);
  });

  test('ids are int64, in paths, queries and bodies', () => {
    const everyParameter = operations().flatMap(([, { parameters = [] }]) => parameters);
    const ids = [
      ...everyParameter
        .filter(({ name }) => /(^|_)id$/.test(name) && name !== 'event_id')
        .map(({ schema: { format } }) => format),
      ...['Order', 'OrderItem', 'Product', 'StockMovement', 'CreateOrderByProductId'].flatMap((name) =>
        Object.entries(schema(name).properties ?? {})
          .filter(([field, { format }]) => /^(product_)?id$/.test(field) && format !== undefined)
          .map(([, { format }]) => format),
      ),
    ];
    expect(ids.length).toBeGreaterThan(15);
    expect(new Set(ids)).toEqual(new Set(['int64']));
  });

  test('a call that takes If-None-Match documents 304, and one that takes If-Match a 412 with the ETag', () => {
    expect(takes('if-none-match').length).toBeGreaterThan(2);
    for (const [, { responses }] of takes('if-none-match'))
      expect(responses['304']?.headers).toHaveProperty('ETag');
    expect(takes('if-match').length).toBeGreaterThan(6);
    for (const [, { responses }] of takes('if-match'))
      expect(responses['412']?.headers).toHaveProperty('ETag');
  });

  test('both copies of the API are servers, relative to the document', () => {
    const urls = document.servers.map(({ url }) => new URL(url, 'http://host/shop/openapi.json').href);
    expect(urls).toEqual(['http://host/shop/', 'http://host/shop/api/v1']);
  });

  test('PUT and PATCH have names of their own, as methods', () => {
    expect(operationAt('put', '/orders/{id}').operationId).toBe('putOrderStatus');
    expect(operationAt('patch', '/orders/{id}/status').operationId).toBe('changeOrderStatus');
    expect(operationAt('put', '/products/{id}').operationId).toBe('putProduct');
    expect(operationAt('patch', '/products/{id}').operationId).toBe('updateProduct');
  });

  test('no description has an angle bracket outside code: a page would take it for HTML', () => {
    const texts: string[] = [];
    JSON.stringify(document, (key, value: unknown) => {
      if (['description', 'summary'].includes(key) && typeof value === 'string') texts.push(value);
      return value;
    });
    expect(texts.length).toBeGreaterThan(100);
    expect(texts.filter((text) => text.replaceAll(/`[^`]*`/g, '').includes('<'))).toEqual([]);
  });
});
