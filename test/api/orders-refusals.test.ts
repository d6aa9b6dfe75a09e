import { beforeAll, describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
const service = useSharedService();

type Item = { product_id: number; quantity: number };

function order(...items: Item[]) {
  return service.call('POST', '/orders', { items });
}

async function traces() {
  const [counts] = await service.database.query(
    `select (select count(*) from orders) as orders, (select count(*) from events) as events,
            (select count(*) from stock_movements) as movements,
            (select sum(version) from products) as versions, (select sum(reserved) from products) as reserved`,
  );
  return counts;
}

test('200 wanted and 70 left: 409, in exactly these words, with the shortage', async () => {
  const { id: product_id } = await service.createProduct({ stock: 100 });
  await service.placeOrder(product_id, 30);
  const answer = await service.call('POST', '/orders', { product_id, quantity: 200 });
  expect(answer).toBeProblem(409, 'insufficient_stock', 'Insufficient stock. Available: 70, Requested: 200');
  expect(answer.body.shortages).toEqual([{ product_id, available: 70, requested: 200 }]);
});

test('the last piece is sold, and not one more', async () => {
  const { id: product_id } = await service.createProduct({ stock: 3 });
  expect((await order({ product_id, quantity: 3 })).status).toBe(201);
  const detail = 'Insufficient stock. Available: 0, Requested: 1';
  expect(await order({ product_id, quantity: 1 })).toBeProblem(409, 'insufficient_stock', detail);
  await expectStockAddsUp(service.database);
});

test('shortages name every item that is short, in the order of the request; the detail names the first', async () => {
  const low = await service.createProduct({ stock: 1 });
  const enough = await service.createProduct({ stock: 50 });
  const none = await service.createProduct({ stock: 0 });
  const before = await traces();
  const answer = await order(
    { product_id: none.id, quantity: 7 },
    { product_id: enough.id, quantity: 50 },
    { product_id: low.id, quantity: 2 },
  );
  expect(answer).toBeProblem(409, 'insufficient_stock', 'Insufficient stock. Available: 0, Requested: 7');
  expect(answer.body.shortages).toEqual([
    { product_id: none.id, available: 0, requested: 7 },
    { product_id: low.id, available: 1, requested: 2 },
  ]);
  expect(await traces()).toEqual(before);
});

test('all items or nothing: 99 that could be sold stay untouched because of one that cannot', async () => {
  const good = await service.createProduct({ stock: 99 });
  const bad = await service.createProduct({ stock: 0 });
  const before = await traces();
  const answer = await order({ product_id: good.id, quantity: 99 }, { product_id: bad.id, quantity: 1 });
  expect(answer.status).toBe(409);
  expect(await traces()).toEqual(before);
});

test('an unknown product: 404, in exactly these words, with its id', async () => {
  const answer = await order({ product_id: 999_999, quantity: 1 });
  expect(answer).toBeProblem(404, 'product_not_found', 'Product not found');
  expect(answer.body.product_id).toBe(999_999);
});

describe('unknown beats inactive beats short, wherever they stand in the request', () => {
  let short: Item;
  let inactive: Item;
  const unknown: Item = { product_id: 999_999, quantity: 1 };
  beforeAll(async () => {
    short = { product_id: (await service.createProduct({ stock: 0 })).id, quantity: 1 };
    inactive = { product_id: (await service.createProduct({ active: false, stock: 0 })).id, quantity: 1 };
  });

  test('short, inactive, unknown: 404', async () => {
    const answer = await order(short, inactive, unknown);
    expect(answer).toBeProblem(404, 'product_not_found', 'Product not found');
  });

  test('short, inactive: 409 because of the inactive one, which is named', async () => {
    const answer = await order(short, inactive);
    expect(answer).toBeProblem(409, 'product_inactive');
    expect(answer.body.product_id).toBe(inactive.product_id);
  });

  test('short alone: 409 because of the stock', async () => {
    expect(await order(short)).toBeProblem(409, 'insufficient_stock');
  });
});

describe('a total above 9,999,999,999.99 does not fit: 422, and nothing is reserved', () => {
  test('2 × 9,999,999,999.99', async () => {
    const { id: product_id } = await service.createProduct({ price: 9_999_999_999.99 });
    const before = await traces();
    expect(await order({ product_id, quantity: 2 })).toBeProblem(422, 'total_out_of_range');
    expect(await traces()).toEqual(before);
  });

  test('1,000,000,000 × 9,999,999,999.99, far above what a double counts exactly', async () => {
    const { id: product_id } = await service.createProduct({ price: 9_999_999_999.99, stock: 1_000_000_000 });
    expect(await order({ product_id, quantity: 1_000_000_000 })).toBeProblem(422, 'total_out_of_range');
  });

  test('one cent too much over two items; one cent less fits', async () => {
    const most = { product_id: (await service.createProduct({ price: 9_999_999_999.98 })).id, quantity: 1 };
    const cent = { product_id: (await service.createProduct({ price: 0.01 })).id, quantity: 2 };
    expect(await order(most, cent)).toBeProblem(422, 'total_out_of_range');
    const { status, body } = await order(most, { ...cent, quantity: 1 });
    expect([status, body.total]).toEqual([201, 9_999_999_999.99]);
  });
});

test('money is exact: 3 × 0.10 + 1 × 0.20 is 0.5, and 100 × 1.15 is 115', async () => {
  const dime = { product_id: (await service.createProduct({ price: 0.1 })).id, quantity: 3 };
  const two = { product_id: (await service.createProduct({ price: 0.2 })).id, quantity: 1 };
  const odd = { product_id: (await service.createProduct({ price: 1.15 })).id, quantity: 100 };
  expect((await order(dime, two)).body.total).toBe(0.5);
  expect((await order(odd)).body.total).toBe(115);
});

describe('a quantity is 1 to 1,000,000,000', () => {
  test.each([0, -1, 1_000_000_001])('%i: 422', async (quantity) => {
    const answer = await service.call('POST', '/orders', { product_id: 1, quantity });
    expect(answer).toHaveFaults('body/quantity');
  });

  test('1,000,000,000 of 1,000,000,000 are sold', async () => {
    const { id: product_id } = await service.createProduct({ price: 0.01, stock: 1_000_000_000 });
    expect((await order({ product_id, quantity: 1_000_000_000 })).status).toBe(201);
  });
});

describe('customer_email is a form check', () => {
  let product_id: number;
  beforeAll(async () => {
    product_id = (await service.createProduct()).id;
  });

  test.each(['a@b', 'ada.lovelace+shop@example.com', 'ünï@exämple.de', `${'a'.repeat(250)}@b.c`])(
    '%s is accepted',
    async (customer_email) => {
      const { status, body } = await service.call('POST', '/orders', {
        product_id,
        quantity: 1,
        customer_email,
      });
      expect([status, body.customer_email]).toEqual([201, customer_email]);
    },
  );

  test.each([
    '',
    'ada',
    '@example.com',
    'ada@',
    'a b@c',
    'a@b@c',
    'a@b\n',
    'a@\u0000b',
    `${'a'.repeat(251)}@b.c`,
  ])('%j is refused', async (customer_email) => {
    const answer = await service.call('POST', '/orders', { product_id, quantity: 1, customer_email });
    expect(answer).toHaveFaults('body/customer_email');
  });
});

describe('expected_total', () => {
  test.each(['', '/preview'])('POST /orders%s: 59.98 as expected, as a number or as text', async (rest) => {
    const { id: product_id } = await service.createProduct({ price: 29.99 });
    for (const expected_total of [59.98, '59.98']) {
      const body = { product_id, quantity: 2, expected_total };
      const answer = await service.call('POST', `/orders${rest}`, body);
      expect([answer.status, answer.body.total]).toEqual([rest === '' ? 201 : 200, 59.98]);
      expect(answer.body).not.toHaveProperty('expected_total');
    }
  });

  test.each(['', '/preview'])(
    'POST /orders%s: another total is 409 with both, and nothing is written',
    async (rest) => {
      const { id: product_id } = await service.createProduct({ price: 29.99 });
      await service.call('PATCH', `/products/${product_id}`, { price: 30 });
      const body = { product_id, quantity: 2, expected_total: 59.98 };
      const key = { 'idempotency-key': `total-${product_id}` };
      const answer = await service.call('POST', `/orders${rest}`, body, key);
      expect(answer).toBeProblem(409, 'total_changed', 'The total is 60.00, not the expected 59.98');
      expect(answer.body).toMatchObject({ expected_total: 59.98, total: 60 });
      expect((await service.call('GET', `/products/${product_id}`)).body.reserved).toBe(0);
      const agreed = await service.call('POST', '/orders', { ...body, expected_total: 60 }, key);
      expect([agreed.status, agreed.headers['idempotency-replayed']]).toEqual([201, undefined]);
    },
  );

  test('too little stock comes before another total', async () => {
    const { id: product_id } = await service.createProduct({ stock: 1 });
    const answer = await service.call('POST', '/orders', { product_id, quantity: 2, expected_total: 1 });
    expect(answer).toBeProblem(409, 'insufficient_stock');
  });

  test.each([0, -1, 1.001, '1.001', 'much', null, true, [1]])('%j: 422', async (expected_total) => {
    const answer = await service.call('POST', '/orders', { product_id: 1, quantity: 1, expected_total });
    expect(answer).toHaveFaults('body/expected_total');
  });
});
