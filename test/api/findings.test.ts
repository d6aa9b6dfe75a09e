import { expect, test } from 'vitest';

import { useSharedService } from '../support/service.ts';

const service = useSharedService();

test('an event of an unused type is ignored and remembered, whatever else it holds or lacks', async () => {
  const events = [
    { event_type: 'customer.created', event_id: 'evt_customer' },
    { event_type: 'customer.updated', order_id: null, amount: null, payment_method: { card: 1 } },
    { event_type: 'invoice.paid', order_id: 'in_1', amount: '12 EUR' },
  ];
  for (const event of events) {
    const first = await service.pay(event);
    expect([first.status, first.body.status, first.body.order_id]).toEqual([200, 'ignored', undefined]);
    expect((await service.pay(event)).body).toEqual({ status: 'already_processed', outcome: 'ignored' });
  }
});

test('an event of a used type without an order is 422', async () => {
  const { status, body } = await service.pay({ event_type: 'payment.succeeded' });
  expect([status, body.errors]).toMatchObject([422, [{ path: 'body/order_id', message: 'is required' }]]);
});

test('a provider may send a member named constructor: the payment counts', async () => {
  const { id } = await service.placeOrder((await service.createProduct()).id, 1);
  const meta = { constructor: { prototype: {} } };
  const { body } = await service.pay({ event_type: 'payment.succeeded', order_id: id, meta });
  expect(body).toEqual({ status: 'processed', order_id: id, new_status: 'PAID' });
});

test.each(['29.990000000000000000001', '1.0000000000000000000001', '100000000000000000000.5'])(
  'a price of %s is 422: it is never rounded',
  async (price) => {
    const product = `{"sku":"LONG","name":"123456789012345678901234567890","price":${price},"stock":1}`;
    const { status, body } = await service.call('POST', '/products', product);
    expect([status, body.code]).toEqual([422, 'validation_failed']);
  },
);

test('digits in a text are only text', async () => {
  const product = { sku: 'DIGITS', name: '123456789012345678901234567890 \\" 1', price: 1, stock: 1 };
  expect((await service.call('POST', '/products', product)).status).toBe(201);
});

test.each([
  '/docs/static/..%2fpackage.json',
  '/docs/static/%00',
  '/docs/static/.env',
  '/docs/static/none.css',
])('%s is a problem of the caller, never a 5xx', async (url) => {
  const { status, body } = await service.call('GET', url);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
  expect(body.request_id).toEqual(expect.any(String));
});

test.each(['/products//', '//products', '/api/v1//products/'])('%s lists the products', async (url) => {
  expect((await service.call('GET', url)).status).toBe(200);
});
