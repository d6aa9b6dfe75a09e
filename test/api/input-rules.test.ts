import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

const DECOMPOSED = 'Cafe\u0301';
const COMPOSED = 'Caf\u00e9';

describe('text is brought into NFC, so that the same letters are the same text', () => {
  test('the name and the description of a product, and the search for it', async () => {
    const product = await service.createProduct({ name: DECOMPOSED, description: DECOMPOSED });
    expect(product).toMatchObject({ name: COMPOSED, description: COMPOSED });
    const edited = await service.call('PATCH', `/products/${product.id}`, { name: `${DECOMPOSED} 2` });
    expect(edited.body.name).toBe(`${COMPOSED} 2`);
    for (const q of [DECOMPOSED, COMPOSED]) {
      const { body } = await service.call('GET', `/products?q=${encodeURIComponent(q)}`);
      expect(body).toHaveLength(1);
    }
  });

  test('the length is that of the text that is stored', async () => {
    const { name } = (await service.createProduct({ name: 'e\u0301'.repeat(200) })) as unknown as {
      name: string;
    };
    expect(name).toBe('\u00e9'.repeat(200));
  });

  test('an e-mail address, of an order and of a filter', async () => {
    const { id } = await service.createProduct();
    const order = { product_id: id, quantity: 1, customer_email: `${DECOMPOSED}@example.com` };
    expect((await service.call('POST', '/orders', order)).body.customer_email).toBe(
      `${COMPOSED}@example.com`,
    );
    const filter = encodeURIComponent(order.customer_email);
    expect((await service.call('GET', `/orders?customer_email=${filter}`)).body).toHaveLength(1);
  });

  test('the reason and the note of an adjustment', async () => {
    const { id } = await service.createProduct();
    const adjustment = { delta: 1, reason: DECOMPOSED, note: DECOMPOSED };
    const { body } = await service.call('POST', `/products/${id}/stock-adjustments`, adjustment);
    expect(body.movement).toMatchObject({ reason: COMPOSED, note: COMPOSED });
  });

  test('the same command in another form is the same under one Idempotency-Key', async () => {
    const product = { sku: 'FORM', name: DECOMPOSED, price: 1, stock: 1 };
    const key = { 'idempotency-key': 'form' };
    expect((await service.call('POST', '/products', product, key)).status).toBe(201);
    const again = await service.call('POST', '/products', { ...product, name: COMPOSED }, key);
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([201, 'true']);
  });

  test('the event_id of a provider stays as it is: two forms are two events', async () => {
    const { id } = await service.createProduct();
    const order = await service.placeOrder(id, 1);
    const event = { event_type: 'payment.refunded', order_id: order.id };
    await service.pay({ ...event, event_id: DECOMPOSED });
    expect((await service.pay({ ...event, event_id: COMPOSED })).body.status).not.toBe('already_processed');
  });
});

describe('names, reasons and notes have something to see', () => {
  const BLANK = [' ', '\t\n', '\u00a0', '\u200b', '\u2060\ufeff', '\u202e', '\u3164', '\u2800', '\u00ad'];
  test.each(BLANK)('%j is blank: 422', async (blank) => {
    const { id } = await service.createProduct();
    const product = { sku: 'BLANK', name: blank, price: 1, stock: 1 };
    expect(await service.call('POST', '/products', product)).toHaveFaults('body/name');
    expect(await service.call('PATCH', `/products/${id}`, { name: blank })).toHaveFaults('body/name');
    const adjustment = { delta: 1, reason: blank, note: blank };
    expect(await service.call('POST', `/products/${id}/stock-adjustments`, adjustment)).toHaveFaults(
      'body/reason',
      'body/note',
    );
    const resolution = { resolution: 'other', note: blank };
    expect(await service.call('POST', '/payments/exceptions/1/resolve', resolution)).toHaveFaults(
      'body/note',
    );
  });

  test.each(['.', ' a ', '🍵', '\u0301', '茶', 'ﷺ', '\u202eabc', '👩‍🚀'])('%j is seen', async (name) => {
    expect((await service.createProduct({ name })).id).toBeGreaterThan(0);
  });
});

describe('an e-mail address', () => {
  const WRONG = [
    '<a@b>',
    'Ada <ada@example.com>',
    'a@b, c@d',
    'a@b;c@d',
    'mailto:a@b',
    '"a"@b',
    'a@[127.0.0.1]',
    'a b@c',
    'a@b@c',
    '@b',
    'a@',
    'a\u0001@b',
    'a\u007f@b',
    'a\\@b',
    '(a)@b',
  ];
  test.each(WRONG)('%s: 422, in an order and as a filter', async (customer_email) => {
    const order = { product_id: 1, quantity: 1, customer_email };
    const answer = await service.call('POST', '/orders', order);
    expect(answer).toHaveFaults('body/customer_email');
    expect(answer.body.errors[0]).toEqual({
      path: 'body/customer_email',
      message: 'must be an e-mail address',
      fix: 'Send the address alone, such as ada@example.com.',
    });
    const url = `/orders?customer_email=${encodeURIComponent(customer_email)}`;
    expect(await service.call('GET', url)).toHaveFaults('query/customer_email');
  });

  test.each(['a@b', 'ada+shop@example.com', "o'neil@example.co.uk", 'jürgen@müller.example', 'a.b-c_d@x.y'])(
    '%s: taken',
    async (customer_email) => {
      const { id } = await service.createProduct();
      const { body } = await service.call('POST', '/orders', { product_id: id, quantity: 1, customer_email });
      expect(body.customer_email).toBe(customer_email);
    },
  );
});

describe('a call that takes no body refuses one, whatever its type, and does nothing', () => {
  const SENT: [what: string, body: string, headers: Record<string, string>][] = [
    ['an empty object', '{}', {}],
    ['null', 'null', {}],
    ['blanks', '  ', {}],
    ['no JSON', '{', {}],
    ['a form', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['text', 'x', { 'content-type': 'text/plain' }],
  ];
  test.each(SENT)('%s: 400', async (_what, body, headers) => {
    const product = await service.createProduct();
    const order = await service.placeOrder((await service.createProduct()).id, 1);
    const calls = [
      ['DELETE', `/products/${product.id}`],
      ['DELETE', `/orders/${order.id}`],
      ['POST', '/webhooks/inbox/1/replay'],
      ['GET', `/products/${product.id}`],
      ['GET', '/healthz'],
    ] as const;
    for (const [method, url] of calls) {
      const answer = await service.call(method, url, body, headers);
      expect(answer).toBeProblem(400, 'malformed_request', 'This call takes no body');
    }
    expect((await service.call('GET', `/products/${product.id}`)).status).toBe(200);
    expect((await service.call('GET', `/orders/${order.id}`)).body.status).toBe('PENDING');
  });

  test('a wrong method is 405 and an unknown path 404, whatever the body says', async () => {
    expect(await service.call('DELETE', '/products', '{}')).toBeProblem(405, 'method_not_allowed');
    for (const type of ['application/json', 'text/plain']) {
      const answer = await service.call('POST', '/nothing', '{}', { 'content-type': type });
      expect(answer).toBeProblem(404, 'not_found', 'There is nothing at POST /nothing');
    }
  });
});

describe('a + in a time of the query stands for a space', () => {
  const URLS = [
    '/orders?created_from=',
    '/payments/exceptions?created_to=',
    '/products/1/stock/explain?as_of=',
  ];
  test.each(URLS)('%s: 422 that says how to write it', async (url) => {
    const answer = await service.call('GET', `${url}2026-01-02T03:04:05+02:00`);
    expect(answer.body.detail).toMatch(/^query\/\w+ has a space where a \+ was meant; write \+ as %2B$/);
    expect(answer).toHaveFaults(`query/${/\?(\w+)=/.exec(url)?.[1]}`);
    expect((await service.call('GET', `${url}2026-01-02T03:04:05%2B02:00`)).status).not.toBe(422);
  });

  test('another wrong time gets an example', async () => {
    const { body } = await service.call('GET', '/orders?created_from=yesterday');
    expect(body.errors).toEqual([
      {
        path: 'query/created_from',
        message: 'must be a date-time',
        fix: 'Send a time such as 2026-01-02T03:04:05Z.',
      },
    ]);
  });
});

describe('each fault says what would be right', () => {
  const FAULTS: [what: string, body: object, fix: string][] = [
    ['a missing name', { sku: 'A', price: 1, stock: 1 }, 'Send text of 1 to 200 characters.'],
    ['a price of 0', { sku: 'A', name: 'x', stock: 1, price: 0 }, 'Send an amount of 0.01 or more.'],
    [
      'a price of half a cent',
      { sku: 'A', name: 'x', stock: 1, price: 0.005 },
      'Send an amount of at most 9999999999.99 with two decimals at most, such as 29.99 or "29.99".',
    ],
    [
      'a wrong SKU',
      { sku: '-', name: 'x', stock: 1, price: 1 },
      'Send a SKU such as MUG-BLUE; it begins with a letter or a digit.',
    ],
    [
      'a stock that is too large',
      { sku: 'A', name: 'x', stock: 2e9, price: 1 },
      'Send an integer from 0 to 1000000000.',
    ],
    [
      'an unknown field',
      { sku: 'A', name: 'x', stock: 1, price: 1, colour: 1 },
      'Leave it out, or use one of sku, name, price, stock, description, active',
    ],
  ];
  test.each(FAULTS)('%s', async (_what, body, fix) => {
    const answer = await service.call('POST', '/products', body);
    expect(answer.body.errors).toHaveLength(1);
    expect(answer.body.errors[0].fix).toContain(fix);
  });
});

test('entity-tag lists may have empty elements, and commas within tags', async () => {
  const { id } = await service.createProduct();
  for (const tags of ['"1",', ',"1"', '"a,b", "1"', 'W/"1" , ,', '"x", , "1"']) {
    const read = await service.call('GET', `/products/${id}`, undefined, { 'if-none-match': tags });
    expect([tags, read.status]).toEqual([tags, 304]);
  }
  const write = (tags: string) =>
    service.call('PATCH', `/products/${id}`, { name: 'x' }, { 'if-match': tags });
  expect((await write('"a,1", ,')).status).toBe(412);
  expect((await write(',"a,b", "1",')).status).toBe(200);
});
