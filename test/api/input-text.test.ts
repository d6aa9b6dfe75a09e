import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';

const service = useSharedService();

function payment(body: string) {
  return service.call('POST', '/webhooks/payment', body, { 'x-webhook-signature': signPayload(body) });
}

/** Text as the inside of a JSON string: what PostgreSQL cannot store, and UTF-8 cannot write. */
const UNSTORABLE = {
  NUL: String.raw`a\u0000b`,
  'a lone high surrogate': String.raw`a\ud800b`,
  'a lone low surrogate': String.raw`a\udfffb`,
  'surrogates in the wrong order': String.raw`\udc00\ud83c`,
  'a high surrogate at the end': String.raw`a\ud83c`,
};

function withField(body: Record<string, string>, field: string, text: string): Record<string, string> {
  return { ...body, [field]: `"${text}"` };
}

describe.each(Object.entries(UNSTORABLE))('%s is refused with 422', (_what, text) => {
  const email = `${text}@example.com`;
  const product: Record<string, string> = { sku: '"S"', name: '"x"', description: 'null' };
  const event: Record<string, string> = {
    event_type: '"payment.succeeded"',
    event_id: '"e"',
  };

  test.each(['sku', 'name', 'description'])('in the %s of a product', async (field) => {
    const { sku, name, description } = withField(product, field, text);
    const body = `{"sku":${sku},"name":${name},"description":${description},"price":1,"stock":1}`;
    expect(await service.call('POST', '/products', body)).toHaveFaults(`body/${field}`);
    const edit = `{"${field}":"${text}"}`;
    expect(await service.call('PATCH', '/products/1', edit)).toHaveFaults(`body/${field}`);
  });

  test('in the email of an order', async () => {
    const body = `{"product_id":1,"quantity":1,"customer_email":"${email}"}`;
    expect(await service.call('POST', '/orders', body)).toHaveFaults('body/customer_email');
  });

  test('in a state', async () => {
    expect(await service.call('PUT', '/orders/1', `{"status":"${text}"}`)).toHaveFaults('body/status');
  });

  test.each(['event_type', 'event_id'])('in the %s of a payment', async (field) => {
    const { event_type, event_id } = withField(event, field, text);
    const body = `{"event_type":${event_type},"event_id":${event_id},"order_id":1}`;
    expect(await payment(body)).toHaveFaults(`body/${field}`);
    expect(
      await service.database.query(
        "select 1 from inbound_deliveries where outcome not in ('failed', 'refused')",
      ),
    ).toEqual([]);
  });
});

test('a whole pair of surrogates is a letter like every other, escaped or not', async () => {
  const bodies = [
    String.raw`{"sku":"PAIR-1","name":"\ud83c\udf75","price":1,"stock":1}`,
    '{"sku":"PAIR-2","name":"🍵","price":1,"stock":1}',
  ];
  for (const body of bodies) expect((await service.call('POST', '/products', body)).body.name).toBe('🍵');
});

describe('queries', () => {
  const TEXTS = [
    '/products?q=',
    '/products?sku=',
    '/products?cursor=',
    '/orders?customer_email=',
    '/orders?cursor=',
  ];
  test.each(TEXTS)('%s with NUL: 422', async (url) => {
    const name = /\?(\w+)=/.exec(url)?.[1];
    expect(await service.call('GET', `${url}a%00@b`)).toHaveFaults(`query/${name}`);
  });

  const BROKEN = ['%ED%A0%80', '%FF', '%C0%AF', '%E2%82', '%', '%zz', '%u0041'];
  test.each(BROKEN)('the escape %s is no UTF-8: 422, and never another text', async (escape) => {
    expect(await service.call('GET', `/products?q=${escape}`)).toHaveFaults('query');
    expect(await service.call('GET', `/orders?customer_email=${escape}`)).toHaveFaults('query');
  });

  test('an escape that is UTF-8 is its letter', async () => {
    await service.createProduct({ name: 'Grüner 🍵' });
    const { body } = await service.call('GET', '/products?q=gr%C3%BCner%20%F0%9F%8D%B5');
    expect(body).toHaveLength(1);
  });
});
