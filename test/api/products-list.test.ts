import { beforeAll, describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

const SHOP = [
  { sku: 'MUG-BLUE', name: 'Blue mug', stock: 5, active: true },
  { sku: 'MUG-RED', name: 'Red mug', stock: 50, active: false },
  { sku: 'TEA_50', name: '50% off tea', stock: 10, active: true },
  { sku: 'TEA-50', name: 'Tea, 50 bags', stock: 0, active: true },
  { sku: 'odd', name: 'back\\slash', stock: 100, active: true },
];

beforeAll(async () => {
  for (const product of SHOP) await service.createProduct(product);
});

async function skus(query: string): Promise<string[]> {
  const { status, body } = await service.call('GET', `/products?${query}`);
  expect(status).toBe(200);
  return body.map(({ sku }: { sku: string }) => sku);
}

test('without filters, every product is listed in the order of its id, active or not', async () => {
  expect(await skus('')).toEqual(['MUG-BLUE', 'MUG-RED', 'TEA_50', 'TEA-50', 'odd']);
  expect(await skus('sort=-id')).toEqual(['odd', 'TEA-50', 'TEA_50', 'MUG-RED', 'MUG-BLUE']);
});

test('a listed product is the same as the single one', async () => {
  const { body } = await service.call('GET', '/products?sku=MUG-RED');
  expect(body).toHaveLength(1);
  expect((await service.call('GET', `/products/${body[0].id}`)).body).toEqual(body[0]);
});

describe('q: the name or the SKU contains it, in any case, and nothing in it is a wildcard', () => {
  test.each([
    ['mug', ['MUG-BLUE', 'MUG-RED']],
    ['BLUE', ['MUG-BLUE']],
    ['red MUG', ['MUG-RED']],
    ['tea', ['TEA_50', 'TEA-50']],
    ['TEA_', ['TEA_50']],
    ['50%', ['TEA_50']],
    ['%', ['TEA_50']],
    ['_', ['TEA_50']],
    ['\\', ['odd']],
    ['k\\s', ['odd']],
    ['m%g', []],
    ["' or 1=1 --", []],
  ])('q=%s finds %j', async (q, expected) => {
    expect(await skus(`q=${encodeURIComponent(q)}`)).toEqual(expected);
  });

  test('a plus sign in a query is a blank', async () => {
    expect(await skus('q=Red+mug')).toEqual(['MUG-RED']);
  });

  test.each(['q=', 'q', `q=${'x'.repeat(201)}`])('%s is refused', async (query) => {
    expect(await service.call('GET', `/products?${query}`)).toHaveFaults('query/q');
  });
});

test('sku is whole, in any case: a part of it finds nothing', async () => {
  expect(await skus('sku=TEA-50')).toEqual(['TEA-50']);
  expect(await skus('sku=tea-50')).toEqual(['TEA-50']);
  expect(await skus('sku=ODD')).toEqual(['odd']);
  expect(await skus('sku=TEA')).toEqual([]);
  expect(await service.call('GET', '/products?sku=a%20b')).toHaveFaults('query/sku');
});

test('active=true and active=false part the products; other words are refused', async () => {
  expect(await skus('active=false')).toEqual(['MUG-RED']);
  expect(await skus('active=true')).toHaveLength(4);
  for (const word of ['1', 'yes', 'TRUE', '', 'null']) {
    expect(await service.call('GET', `/products?active=${word}`)).toHaveFaults('query/active');
  }
});

test('stock_below=10 lists what has 9 or less to sell', async () => {
  expect(await skus('stock_below=10')).toEqual(['MUG-BLUE', 'TEA-50']);
  expect(await skus('stock_below=11')).toEqual(['MUG-BLUE', 'TEA_50', 'TEA-50']);
  expect(await skus('stock_below=0')).toEqual([]);
});

test('stock_below counts what orders hold: 60 in the house, 55 of them reserved, is below 6', async () => {
  const { id } = await service.createProduct({ sku: 'HELD', stock: 60 });
  expect(await skus('stock_below=6&sku=HELD')).toEqual([]);
  const order = await service.placeOrder(id, 55);
  expect(await skus('stock_below=6&sku=HELD')).toEqual(['HELD']);
  await service.call('DELETE', `/orders/${order.id}`);
  expect(await skus('stock_below=6&sku=HELD')).toEqual([]);
});

test('filters add up', async () => {
  expect(await skus('q=mug&active=true')).toEqual(['MUG-BLUE']);
  expect(await skus('q=mug&active=true&stock_below=5')).toEqual([]);
});

describe('a single product', () => {
  test('that is unknown: 404, in exactly these words', async () => {
    const answer = await service.call('GET', '/products/9007199254740991');
    expect(answer).toBeProblem(404, 'product_not_found', 'Product not found');
  });

  test('carries its version as ETag; a caller that has it gets 304 and no body', async () => {
    const { id } = await service.createProduct();
    const url = `/products/${id}`;
    expect((await service.call('GET', url)).headers.etag).toBe('"1"');
    for (const tag of ['"1"', 'W/"1"', '"7", "1"', '*']) {
      const { status, text, headers } = await service.call('GET', url, undefined, { 'if-none-match': tag });
      expect([status, text, headers.etag]).toEqual([304, '', '"1"']);
    }
    await service.call('PATCH', url, { name: 'Changed' });
    const { status, headers, body } = await service.call('GET', url, undefined, { 'if-none-match': '"1"' });
    expect([status, headers.etag, body.name]).toEqual([200, '"2"', 'Changed']);
  });

  test('with a malformed If-None-Match: 422', async () => {
    const { id } = await service.createProduct();
    const answer = await service.call('GET', `/products/${id}`, undefined, { 'if-none-match': '1' });
    expect(answer).toHaveFaults('header/if-none-match');
  });
});

test.each([
  ['2026-01-02 03:04:05+00', '2026-01-02T03:04:05.000Z'],
  ['2026-01-02 03:04:05.1+00', '2026-01-02T03:04:05.100Z'],
  ['2026-01-02 03:04:05.12+00', '2026-01-02T03:04:05.120Z'],
  ['2026-01-02 03:04:05.007+00', '2026-01-02T03:04:05.007Z'],
  ['2026-01-02 05:34:05.9+02:30', '2026-01-02T03:04:05.900Z'],
  ['12026-01-02 03:04:05+00', '+012026-01-02T03:04:05.000Z'],
  ['120260-01-02 03:04:05+00', '+120260-01-02T03:04:05.000Z'],
])('the time %s is shown as %s, in a list and alone', async (stored, shown) => {
  const { id, sku } = await service.createProduct();
  await service.database.query('update products set created_at = $1 where id = $2', [stored, id]);
  const [listed] = (await service.call('GET', `/products?sku=${sku}`)).body;
  const { body: alone } = await service.call('GET', `/products/${id}`);
  expect([listed.created_at, alone.created_at]).toEqual([shown, shown]);
});

test.each([
  { name: 'Plain', price: 20 },
  { name: 'Quote " backslash \\ slash / bell \u0007 newline \n del \u007f', price: 19.9 },
  { name: 'Ünïcödé 東京 🧦 \u2028', price: 9_999_999_999.99, description: '' },
  { name: '</script>', price: 0.01, description: 'tab \t and "quotes"', active: false },
])('a product alone is byte for byte what a list shows of it: $name', async (fields) => {
  const { id, sku } = await service.createProduct({ ...fields, stock: 7 });
  await service.call('POST', '/orders', { product_id: id, quantity: 2 });
  const { body: list, text } = await service.call('GET', `/products?sku=${sku}`);
  const alone = await service.call('GET', `/products/${id}`);
  expect(`[${alone.text}]`).toBe(text);
  expect(alone.body).toMatchObject({ ...fields, sku });
  expect(alone.text).toBe(JSON.stringify(list[0]));
});
