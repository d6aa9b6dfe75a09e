import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';
const service = useSharedService();

/** Every integer of a body, with the JSON of the whole body around it. */
const INTEGERS: Record<
  string,
  { path: string; fill: (json: string) => [method: 'POST' | 'PATCH', url: string, body: string] }
> = {
  'stock of a new product': {
    path: 'body/stock',
    fill: (json) => ['POST', '/products', `{"sku":"STRICT","name":"x","price":1,"stock":${json}}`],
  },
  'stock of an edit': {
    path: 'body/stock',
    fill: (json) => ['PATCH', '/products/1', `{"stock":${json}}`],
  },
  'product_id of an order': {
    path: 'body/product_id',
    fill: (json) => ['POST', '/orders', `{"quantity":1,"product_id":${json}}`],
  },
  'quantity of an order': {
    path: 'body/quantity',
    fill: (json) => ['POST', '/orders', `{"product_id":1,"quantity":${json}}`],
  },
  'product_id of an item': {
    path: 'body/items/0/product_id',
    fill: (json) => ['POST', '/orders', `{"items":[{"quantity":1,"product_id":${json}}]}`],
  },
  'quantity of an item': {
    path: 'body/items/0/quantity',
    fill: (json) => ['POST', '/orders', `{"items":[{"product_id":1,"quantity":${json}}]}`],
  },
};

const NO_INTEGERS = [
  '"5"',
  '""',
  'true',
  'false',
  'null',
  '[5]',
  '[]',
  '{}',
  '1.5',
  '1e400',
  '-1e400',
  '-1',
  '1e-1',
  '9007199254740992',
  '9007199254740993',
  '1e16',
];

describe.each(Object.entries(INTEGERS))('the %s is never coerced', (_name, { path, fill }) => {
  test.each(NO_INTEGERS)('%s: 422', async (json) => {
    expect(await service.call(...fill(json))).toHaveFaults(path);
  });
});

test('0 is no id and no quantity', async () => {
  expect(await service.call('POST', '/orders', { product_id: 0, quantity: 0 })).toHaveFaults(
    'body/product_id',
    'body/quantity',
  );
});

test('5.0 and 5e0 are the integer 5, as JSON says', async () => {
  for (const [index, json] of ['5.0', '5e0', '50e-1'].entries()) {
    const body = `{"sku":"FIVE-${index}","name":"x","price":1,"stock":${json}}`;
    expect((await service.call('POST', '/products', body)).body.stock).toBe(5);
  }
});

describe('a price', () => {
  const REFUSED = [
    '0',
    '-1',
    '-0.01',
    '0.001',
    '29.999',
    '99999.99000000001',
    '8999.989999999999',
    '29989999999999998e-15',
    '29.990000000000000000001',
    '1e-400',
    '0.005',
    '1e-7',
    '10000000000',
    '9999999999.999',
    '1e400',
    'null',
    'true',
    '[5]',
    '{}',
    '"0"',
    '"0.0"',
    '"0.00"',
    '"000"',
    '"1."',
    '".5"',
    '" 1"',
    '"1 "',
    '"1\\n"',
    '"+1"',
    '"-1"',
    '"1e2"',
    '"0x10"',
    '"1,50"',
    '"1.234"',
    '"NaN"',
    '"nan"',
    '"Infinity"',
    '"-Infinity"',
    '"10000000000"',
    '"10000000000.00"',
    '"٣"',
    '""',
  ];
  test.each(REFUSED)('%s: 422, for a new product and for an edit', async (json) => {
    const product = `{"sku":"PRICE","name":"x","stock":1,"price":${json}}`;
    expect(await service.call('POST', '/products', product)).toHaveFaults('body/price');
    expect(await service.call('PATCH', '/products/1', `{"price":${json}}`)).toHaveFaults('body/price');
  });

  const ACCEPTED: [json: string, price: number][] = [
    ['0.01', 0.01],
    ['1e2', 100],
    ['29.990', 29.99],
    ['9999999999.99', 9_999_999_999.99],
    ['"9999999999.99"', 9_999_999_999.99],
    ['"29.9"', 29.9],
  ];
  test.each(ACCEPTED)('%s is %d, in the answer and in the database', async (json, price) => {
    const sku = `PRICE-${json.replaceAll('"', 't')}`;
    const body = `{"sku":"${sku}","name":"x","stock":1,"price":${json}}`;
    const answer = await service.call('POST', '/products', body);
    expect([answer.status, answer.body?.price]).toEqual([201, price]);
    const stored = await service.database.query('select price from products where id = $1', [answer.body.id]);
    expect(stored).toEqual([{ price: price.toFixed(2) }]);
  });

  test('10 prices that binary fractions cannot hold come back as they were sent', async () => {
    const { id } = await service.createProduct();
    for (const cents of [1, 10, 29, 57, 58, 115, 435, 1015, 900_719_925_474, 999_999_999_999]) {
      const sent = (cents / 100).toFixed(2);
      const { body } = await service.call('PATCH', `/products/${id}`, `{"price":${sent}}`);
      expect(body.price.toFixed(2)).toBe(sent);
    }
  });
});

describe('the amount of a payment', () => {
  test.each([
    '-1',
    '0.001',
    '29989999999999998e-15',
    '1e-400',
    '10000000000',
    '1e400',
    'null',
    'true',
    '"1."',
    '"NaN"',
    '" 1"',
    '[1]',
  ])('%s: 422, and the event is not stored', async (json) => {
    const body = `{"event_type":"payment.succeeded","order_id":1,"amount":${json}}`;
    const headers = { 'x-webhook-signature': signPayload(body) };
    expect(await service.call('POST', '/webhooks/payment', body, headers)).toHaveFaults('body/amount');
    expect(
      await service.database.query(
        "select 1 from inbound_deliveries where outcome not in ('failed', 'refused')",
      ),
    ).toEqual([]);
  });
});

describe('booleans are true and false', () => {
  test.each(['"true"', '1', '0', 'null', '"yes"', '[true]'])('active: %s: 422', async (json) => {
    expect(await service.call('PATCH', '/products/1', `{"active":${json}}`)).toHaveFaults('body/active');
  });
});

describe('texts are texts', () => {
  test.each(['5', 'true', 'null', '["x"]', '{}'])('sku and name: %s: 422', async (json) => {
    const body = `{"sku":${json},"name":${json},"price":1,"stock":1}`;
    expect(await service.call('POST', '/products', body)).toHaveFaults('body/sku', 'body/name');
  });
});

describe('every fault is named at once', () => {
  test('a product with 6 faults and 2 fields that nobody knows', async () => {
    const body = { sku: '', name: '', price: 0, stock: null, description: 5, active: 'x', colour: 1, tax: 2 };
    expect(await service.call('POST', '/products', body)).toHaveFaults(
      'body/sku',
      'body/name',
      'body/price',
      'body/stock',
      'body/description',
      'body/active',
      'body/colour',
      'body/tax',
    );
  });

  test('an order with faults in each of 3 items', async () => {
    const items = [
      { product_id: 'x', quantity: 1 },
      { product_id: 1 },
      { product_id: 1, quantity: 0, gift: 1 },
    ];
    expect(await service.call('POST', '/orders', { items })).toHaveFaults(
      'body/items/0/product_id',
      'body/items/1/quantity',
      'body/items/2/product_id',
      'body/items/2/quantity',
      'body/items/2/gift',
    );
  });

  test('an order with half of a form, one with both, and one with a repeated product: each beside other faults', async () => {
    const half = { quantity: '5', colour: 1 };
    expect(await service.call('POST', '/orders', half)).toHaveFaults(
      'body/product_id',
      'body/quantity',
      'body/colour',
    );
    const item = { product_id: 1, quantity: 1 };
    const both = { product_id: 1, items: [item, item, { ...item, quantity: 0 }], tax: 1 };
    expect(await service.call('POST', '/orders', both)).toHaveFaults(
      'body/product_id',
      'body/items/1/product_id',
      'body/items/2/product_id',
      'body/items/2/quantity',
      'body/tax',
    );
  });

  test('a query with 4 faults', async () => {
    expect(await service.call('GET', '/orders?limit=0&status=x&page=2&sort=name')).toHaveFaults(
      'query/limit',
      'query/status',
      'query/page',
      'query/sort',
    );
  });

  test.each(['[]', '[{}]', '"x"', '1', 'true', 'null'])('the body %s is no object: 422', async (body) => {
    expect(await service.call('POST', '/products', body)).toHaveFaults('body');
    expect(await service.call('POST', '/orders', body)).toHaveFaults('body');
  });
});

test('after all of that, nothing was written but what was accepted', async () => {
  const rows = await service.database.query('select sku from products where sku in ($1, $2)', [
    'STRICT',
    'PRICE',
  ]);
  expect(rows).toEqual([]);
});
