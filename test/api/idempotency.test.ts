import { beforeEach, describe, expect, test } from 'vitest';

import { purgeKeys } from '../../src/idempotency/idempotency.service.ts';
import '../support/problems.ts';
import { observeStatements } from '../support/race.ts';
import { useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService();

let keys = 0;
let key: string;
let product_id: number;
beforeEach(async () => {
  key = `key-${++keys}`;
  product_id = (await service.createProduct({ stock: 10 })).id;
});

function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  return service.call('POST', url, body, { 'idempotency-key': key, ...headers });
}

async function read(url: string) {
  return (await service.call('GET', url)).body;
}

async function rowCounts() {
  const [counts] = await service.database.query(
    `select (select count(*) from orders) as orders, (select count(*) from products) as products,
            (select count(*) from events) as events, (select count(*) from stock_movements) as movements,
            (select sum(reserved) from products) as reserved, (select count(*) from idempotency_keys) as keys`,
  );
  return counts;
}

const REPLAYED = 'idempotency-replayed';

describe('a repeated order', () => {
  test('5 calls with one key: one order; each answer has the same status, body, Location and ETag', async () => {
    const first = await post('/orders', { product_id, quantity: 2, customer_email: 'ada@example.com' });
    expect([first.status, first.headers[REPLAYED]]).toEqual([201, undefined]);
    const before = await rowCounts();
    for (let i = 0; i < 4; i++) {
      const again = await post('/orders', { product_id, quantity: 2, customer_email: 'ada@example.com' });
      expect([again.status, again.text, again.headers[REPLAYED]]).toEqual([201, first.text, 'true']);
      expect(again.headers.location).toBe(first.headers.location);
      expect(again.headers.etag).toBe(first.headers.etag);
    }
    expect(await rowCounts()).toEqual(before);
    expect(await read(`/products/${product_id}`)).toMatchObject({ stock: 8, reserved: 2 });
  });

  test('is the first answer, even when the order was paid, shipped, and its product changed since', async () => {
    const first = await post('/orders', { product_id, quantity: 2 });
    const url = `/orders/${first.body.id}`;
    for (const status of ['PAID', 'SHIPPED']) await service.call('PUT', url, { status });
    await service.call('PATCH', `/products/${product_id}`, { price: 99, stock: 0, active: false });
    const again = await post('/orders', { product_id, quantity: 2 });
    expect([again.status, again.text, again.headers.etag]).toEqual([201, first.text, '"1"']);
    expect((await read(url)).status).toBe('SHIPPED');
  });

  test('works without a key as often as it is called', async () => {
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await service.placeOrder(product_id, 1)).id);
    expect(new Set(ids).size).toBe(3);
  });

  test('another key is another order', async () => {
    const first = await post('/orders', { product_id, quantity: 1 });
    key = `${key}-b`;
    const second = await post('/orders', { product_id, quantity: 1 });
    expect(second.body.id).not.toBe(first.body.id);
  });

  test('keys differ by their case', async () => {
    const first = await post('/orders', { product_id, quantity: 1 });
    key = key.toUpperCase();
    expect((await post('/orders', { product_id, quantity: 1 })).body.id).not.toBe(first.body.id);
  });
});

describe('the same command in another spelling is the same command', () => {
  test('an order: member order, spacing, an email of null, one item as a list, and /api/v1', async () => {
    const first = await post('/orders', { product_id, quantity: 2 });
    const spellings: [string, unknown][] = [
      ['/orders', `{ "quantity" : 2.0,\n"product_id": ${product_id} }`],
      ['/orders', { product_id, quantity: 2, customer_email: null }],
      ['/orders', { items: [{ quantity: 2, product_id }] }],
      ['/api/v1/orders', { product_id, quantity: 2 }],
      ['/orders/', { product_id, quantity: 2 }],
      ['/orders?dry_run=false', { product_id, quantity: 2 }],
    ];
    for (const [url, body] of spellings) {
      const again = await post(url, body);
      expect([again.status, again.headers[REPLAYED], again.text]).toEqual([201, 'true', first.text]);
    }
  });

  test('items in another order; the replay is the first answer, with its own order of items', async () => {
    const [a, b] = [await service.createProduct(), await service.createProduct()];
    const items = [a, b, { id: product_id }].map(({ id }, index) => ({
      product_id: id,
      quantity: index + 1,
    }));
    const first = await post('/orders', { items });
    expect(first.status).toBe(201);
    for (const other of [items.toReversed(), [items[1], items[0], items[2]], items]) {
      const again = await post('/orders', { items: other });
      expect([again.status, again.headers[REPLAYED], again.text]).toEqual([201, 'true', first.text]);
    }
    const swapped = items.map((item, index) => ({ ...item, quantity: 3 - index }));
    expect(await post('/orders', { items: swapped })).toBeProblem(409, 'idempotency_key_reused');
    expect(await post('/orders', { items, expected_total: 60 })).toBeProblem(409, 'idempotency_key_reused');
  });

  test('a product: 29.99, "29.99" and 2999e-2; defaults that are written out', async () => {
    const product = { sku: `SAME-${key}`, name: 'x', price: 29.99, stock: 1 };
    const first = await post('/products', product);
    const spellings: unknown[] = [
      { ...product, price: '29.99' },
      JSON.stringify(product).replace('29.99', '2999e-2'),
      { ...product, active: true, description: null },
      { stock: 1, price: 29.99, name: 'x', sku: product.sku },
    ];
    for (const body of spellings) {
      const again = await post('/products', body);
      expect([again.status, again.headers[REPLAYED], again.text]).toEqual([201, 'true', first.text]);
    }
  });

  test('under /api/v1 a replay names the place under /api/v1', async () => {
    const first = await post('/orders', { product_id, quantity: 1 });
    const again = await post('/api/v1/orders', { product_id, quantity: 1 });
    expect(again.headers.location).toBe(`/api/v1/orders/${first.body.id}`);
  });
});

describe('a key that is used for another command: 409, and nothing is written', () => {
  test.each<[string, (id: number) => [url: string, body: unknown]]>([
    ['another quantity', (id) => ['/orders', { product_id: id, quantity: 3 }]],
    ['another product', () => ['/orders', { product_id: 999_999, quantity: 2 }]],
    [
      'one item more',
      (id) => [
        '/orders',
        {
          items: [
            { product_id: id, quantity: 2 },
            { product_id: 1, quantity: 1 },
          ],
        },
      ],
    ],
    ['an email', (id) => ['/orders', { product_id: id, quantity: 2, customer_email: 'a@b' }]],
    ['another call', () => ['/products', { sku: 'REUSED', name: 'x', price: 1, stock: 1 }]],
  ])('%s', async (_what, other) => {
    await post('/orders', { product_id, quantity: 2 });
    const before = await rowCounts();
    expect(await post(...other(product_id))).toBeProblem(409, 'idempotency_key_reused');
    expect(await rowCounts()).toEqual(before);
  });

  test('a product at another price', async () => {
    const product = { sku: `PRICED-${key}`, name: 'x', price: 1, stock: 1 };
    await post('/products', product);
    expect(await post('/products', { ...product, price: 1.01 })).toBeProblem(409, 'idempotency_key_reused');
  });
});

describe('refusals are not stored: the key can be tried again', () => {
  test('409 for stock, then 201 when there is stock, then its replay', async () => {
    const order = { product_id, quantity: 11 };
    for (let i = 0; i < 2; i++) expect(await post('/orders', order)).toBeProblem(409, 'insufficient_stock');
    await service.call('PATCH', `/products/${product_id}`, { stock: 11 });
    const placed = await post('/orders', order);
    expect([placed.status, placed.headers[REPLAYED]]).toEqual([201, undefined]);
    expect((await post('/orders', order)).headers[REPLAYED]).toBe('true');
  });

  test('404, 422 and 409 leave no key behind', async () => {
    const { sku } = await service.createProduct();
    expect((await post('/orders', { product_id: 999_999, quantity: 1 })).status).toBe(404);
    expect((await post('/orders', { product_id, quantity: 0 })).status).toBe(422);
    expect((await post('/products', { sku, name: 'x', price: 1, stock: 1 })).status).toBe(409);
    expect(await service.database.query('select 1 from idempotency_keys where key = $1', [key])).toEqual([]);
    expect((await post('/orders', { product_id, quantity: 1 })).status).toBe(201);
  });

  test('a key that was refused for one command may carry another one', async () => {
    await post('/orders', { product_id, quantity: 99 });
    expect((await post('/orders', { product_id, quantity: 1 })).status).toBe(201);
  });
});

describe('a key is 1 to 255 visible ASCII characters', () => {
  test.each(['x', '!', '~', '"quoted"', 'a,b', 'k'.repeat(255)])('%s is one', async (given) => {
    const { status } = await post('/orders', { product_id, quantity: 1 }, { 'idempotency-key': given });
    expect(status).toBe(201);
  });

  test.each(['', ' ', 'a b', '\t', 'ä', 'k'.repeat(256), 'a\u007f'])(
    '%j is none: 422, and nothing is written',
    async (given) => {
      const before = await rowCounts();
      for (const [url, body] of [
        ['/orders', { product_id, quantity: 1 }],
        ['/products', { sku: 'KEYED', name: 'x', price: 1, stock: 1 }],
      ] as const) {
        expect(await post(url, body, { 'idempotency-key': given })).toHaveFaults('header/idempotency-key');
      }
      expect(await rowCounts()).toEqual(before);
    },
  );
});

describe('a product', () => {
  test('created 3 times with one key is one product, with Location and ETag on each answer', async () => {
    const product = { sku: `ONCE-${key}`, name: 'x', price: 5, stock: 7 };
    const first = await post('/products', product);
    await service.call('PATCH', `/products/${first.body.id}`, { name: 'Moved on' });
    for (let i = 0; i < 2; i++) {
      const again = await post('/products', product);
      expect([again.status, again.text, again.headers[REPLAYED]]).toEqual([201, first.text, 'true']);
      expect([again.headers.location, again.headers.etag]).toEqual([`/products/${first.body.id}`, '"1"']);
    }
    expect(await read(`/products?q=${product.sku}`)).toHaveLength(1);
  });

  test('without a key the second call finds the SKU taken', async () => {
    const product = { sku: `TWICE-${key}`, name: 'x', price: 5, stock: 7 };
    await service.call('POST', '/products', product);
    expect(await service.call('POST', '/products', product)).toBeProblem(409, 'duplicate_sku');
  });
});

test('another instance on the same database replays the same answer', async () => {
  const first = await post('/orders', { product_id, quantity: 1 });
  const other = await useTestService({ database: service.database });
  const again = await other.call('POST', '/orders', { product_id, quantity: 1 }, { 'idempotency-key': key });
  expect([again.status, again.text, again.headers[REPLAYED]]).toEqual([201, first.text, 'true']);
});

test('a key is kept for 24 hours: one purge takes all 50,000 that are older, 1,000 a transaction, and no other', async () => {
  const { database, own } = service;
  await database.query('truncate idempotency_keys');
  await database.query(`
    insert into idempotency_keys (scope, key, fingerprint, status, response, created_at)
    select '', 'old-' || n, ''::bytea, 201, '{}'::json, now() - interval '24 hours 1 second' from generate_series(1, 50000) n
    union all
    select '', 'kept-' || n, '', 201, '{}', now() - interval '23 hours 59 minutes' from generate_series(1, 3) n`);
  const deletions: Promise<unknown>[] = [];
  observeStatements(service, ({ text, sent }) => {
    if (text.includes('delete from idempotency_keys')) deletions.push(sent);
  });
  expect(await purgeKeys(own.db)).toBe(50_000);
  expect(deletions).toHaveLength(51);
  const left = await database.query<{ key: string }>('select key from idempotency_keys order by key');
  expect(left.map(({ key: name }) => name)).toEqual(['kept-1', 'kept-2', 'kept-3']);
  // A stop is not kept waiting for the rest.
  await database.query("update idempotency_keys set created_at = now() - interval '25 hours'");
  expect(await purgeKeys(own.db, () => true)).toBe(3);
});
