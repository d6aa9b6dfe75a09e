import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

const WHOLE = {
  sku: 'MUG-1',
  name: 'Mug',
  price: 29.99,
  stock: 100,
  description: 'Blue',
  active: false,
  low_stock_threshold: 5,
};

function create(fields: Record<string, unknown>) {
  return service.call('POST', '/products', { sku: 'NEW', name: 'New', price: 1, stock: 1, ...fields });
}

async function rowCounts() {
  const [counts] = await service.database.query(
    `select (select count(*) from products) as products, (select count(*) from events) as events,
            (select count(*) from stock_movements) as movements`,
  );
  return counts;
}

test('a created product is answered with 201, its Location, ETag "1" and all of its 12 fields', async () => {
  const { status, headers, body } = await create(WHOLE);
  expect(status).toBe(201);
  expect(headers).toMatchObject({ location: `/products/${body.id}`, etag: '"1"' });
  expect(body).toEqual({
    ...WHOLE,
    id: expect.any(Number),
    reserved: 0,
    on_hand: 100,
    version: 1,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    updated_at: body.created_at,
  });
  expect((await service.call('GET', headers.location as string)).body).toEqual(body);
});

test('a product that names neither is active and has no description', async () => {
  const { body } = await create({ sku: 'DEFAULTS' });
  expect(body).toMatchObject({ active: true, description: null });
});

test.each([
  ['29.99', 29.99],
  ['5', 5],
  ['5.5', 5.5],
  ['0.01', 0.01],
  ['0000000007', 7],
  ['9999999999.99', 9_999_999_999.99],
])('the price "%s" as a text is answered as the number %d', async (price, number) => {
  const { status, body } = await create({ sku: `TEXT-${price}`, price });
  expect([status, body.price]).toEqual([201, number]);
});

test('a SKU that is taken: 409, in exactly these words, and nothing is written', async () => {
  await create({ sku: 'TAKEN' });
  const before = await rowCounts();
  const answer = await create({ sku: 'TAKEN', name: 'Another' });
  expect(answer).toBeProblem(409, 'duplicate_sku', 'Product with this SKU already exists');
  expect(await rowCounts()).toEqual(before);
});

test('a SKU is unique whatever its case, and keeps the one it was given', async () => {
  expect((await create({ sku: 'case-A' })).body.sku).toBe('case-A');
  const answer = await create({ sku: 'CASE-a' });
  expect(answer).toBeProblem(409, 'duplicate_sku', 'Product with this SKU already exists');
});

describe('a SKU begins with a letter or a digit and has 1 to 64 of A-Z a-z 0-9 . _ -', () => {
  test.each(['A', '0', 'a.b_c-D', '9-', 'x'.repeat(64)])('%j is accepted', async (sku) => {
    const { status, body } = await create({ sku });
    expect([status, body.sku]).toEqual([201, sku]);
  });

  test.each(['', '-a', '.a', '_a', 'a b', ' a', 'a ', 'a\n', 'a/b', 'é', 'a'.repeat(65), 'a%', '𝒜'])(
    '%j is refused',
    async (sku) => {
      expect(await create({ sku })).toHaveFaults('body/sku');
    },
  );
});

describe('lengths are counted in code points', () => {
  test('a name of 200 and a description of 2000 emoji are accepted and come back whole', async () => {
    const [name, description] = ['🍵'.repeat(200), '🍵'.repeat(2000)];
    const { status, body } = await create({ sku: 'EMOJI', name, description });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name, description });
  });

  test.each([
    ['a name of 201', { name: '🍵'.repeat(201) }, 'body/name'],
    ['a name of 0', { name: '' }, 'body/name'],
    ['a description of 2001', { description: 'x'.repeat(2001) }, 'body/description'],
  ])('%s is refused', async (_what, fields, path) => {
    expect(await create(fields)).toHaveFaults(path);
  });

  test('an empty description is one', async () => {
    expect((await create({ sku: 'EMPTY', description: '' })).body.description).toBe('');
  });
});

describe('stock is 0 to 1,000,000,000', () => {
  test.each([0, 1, 1_000_000_000])('%i is accepted', async (stock) => {
    const { status, body } = await create({ sku: `STOCK-${stock}`, stock });
    expect(status).toBe(201);
    expect(body).toMatchObject({ stock, on_hand: stock, reserved: 0 });
  });

  test('1,000,000,001 is refused', async () => {
    expect(await create({ stock: 1_000_000_001 })).toHaveFaults('body/stock');
  });
});

test('every field that is missing is named at once', async () => {
  const answer = await service.call('POST', '/products', {});
  expect(answer).toHaveFaults('body/sku', 'body/name', 'body/price', 'body/stock');
});

test('fields that belong to the service cannot be set: each is named', async () => {
  const answer = await create({
    id: 7,
    reserved: 1,
    on_hand: 5,
    version: 9,
    created_at: '2026-01-01T00:00:00Z',
  });
  expect(answer).toHaveFaults('body/id', 'body/reserved', 'body/on_hand', 'body/version', 'body/created_at');
});
