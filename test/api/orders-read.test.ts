import { beforeAll, describe, expect, test } from 'vitest';

import { tamper } from '../support/audits.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

async function ids(query: string): Promise<number[]> {
  const { status, body, text } = await service.call('GET', `/orders?${query}`);
  if (status !== 200) throw new Error(text);
  return body.map(({ id }: { id: number }) => id);
}

describe('the list', () => {
  let mug: number;
  let tea: number;
  let first: number;
  let second: number;
  let third: number;
  beforeAll(async () => {
    mug = (await service.createProduct()).id;
    tea = (await service.createProduct()).id;
    const place = async (body: object) => (await service.call('POST', '/orders', body)).body.id;
    first = await place({ product_id: mug, quantity: 1, customer_email: 'ada@example.com' });
    second = await place({ product_id: tea, quantity: 1, customer_email: 'Ada@example.com' });
    const items = [mug, tea].map((product_id) => ({ product_id, quantity: 1 }));
    third = await place({ items });
    await service.call('PUT', `/orders/${second}`, { status: 'PAID' });
    for (const [id, time] of [
      [first, '2026-01-01T00:00:00.000Z'],
      [second, '2026-01-02T00:00:00.000Z'],
      [third, '2026-01-03T00:00:00.123Z'],
    ]) {
      await tamper(service.database, `update orders set created_at = '${time}' where id = ${id}`);
    }
  });

  test('is newest first, and oldest first when asked', async () => {
    expect(await ids('')).toEqual([third, second, first]);
    expect(await ids('sort=id')).toEqual([first, second, third]);
  });

  test('shows each order as the single read does', async () => {
    const { body } = await service.call('GET', '/orders');
    for (const order of body) {
      expect((await service.call('GET', `/orders/${order.id}`)).body).toEqual(order);
    }
  });

  test('status', async () => {
    expect(await ids('status=PAID')).toEqual([second]);
    expect(await ids('status=PENDING')).toEqual([third, first]);
    expect(await ids('status=SHIPPED')).toEqual([]);
    expect(await service.call('GET', '/orders?status=paid')).toHaveFaults('query/status');
  });

  test('product_id finds orders that name it, each once, also among other items', async () => {
    expect(await ids(`product_id=${mug}`)).toEqual([third, first]);
    expect(await ids(`product_id=${tea}`)).toEqual([third, second]);
    expect(await ids('product_id=999999')).toEqual([]);
  });

  test('customer_email is whole, in any case', async () => {
    expect(await ids('customer_email=ada@example.com')).toEqual([second, first]);
    expect(await ids('customer_email=ADA%40example.com')).toEqual([second, first]);
    expect(await service.call('GET', '/orders?customer_email=ada')).toHaveFaults('query/customer_email');
  });

  test('created_from is inclusive, created_to is exclusive: neighbouring periods share no order', async () => {
    expect(await ids('created_from=2026-01-02T00:00:00.000Z')).toEqual([third, second]);
    expect(await ids('created_to=2026-01-02T00:00:00.000Z')).toEqual([first]);
    expect(await ids('created_from=2026-01-01T00:00:00Z&created_to=2026-01-02T00:00:00Z')).toEqual([first]);
    expect(await ids('created_from=2026-01-02T00:00:00Z&created_to=2026-01-02T00:00:00Z')).toEqual([]);
  });

  test('an order finds itself by the time that it shows', async () => {
    const { created_at } = (await service.call('GET', `/orders/${third}`)).body;
    expect(await ids(`created_from=${created_at}`)).toEqual([third]);
    expect(await ids(`created_to=${created_at}`)).toEqual([second, first]);
  });

  test('times finer than a millisecond stand between two of them', async () => {
    expect(await ids('created_from=2026-01-03T00:00:00.123000Z')).toEqual([third]);
    expect(await ids('created_from=2026-01-03T00:00:00.123456Z')).toEqual([]);
    expect(await ids('created_to=2026-01-03T00:00:00.123456Z')).toEqual([third, second, first]);
    expect(await ids('created_to=2026-01-03T00:00:00.123000Z')).toEqual([second, first]);
  });

  test('a time with an offset is the same moment', async () => {
    expect(await ids('created_from=2026-01-02T02:00:00%2B02:00')).toEqual([third, second]);
    expect(await ids('created_from=2026-01-01T19:00:00-05:00')).toEqual([third, second]);
  });

  test.each([
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-02-30T00:00:00Z',
    '2026-01-01T25:00:00Z',
    '2026-12-31T23:59:60Z',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59-12:00',
    '0001-01-01T00:00:00%2B12:00',
    'yesterday',
    '1767225600',
    '',
  ])('the time %j does not exist: 422', async (time) => {
    expect(await service.call('GET', `/orders?created_from=${time}`)).toHaveFaults('query/created_from');
    expect(await service.call('GET', `/orders?created_to=${time}`)).toHaveFaults('query/created_to');
  });

  test('filters add up', async () => {
    expect(await ids(`product_id=${tea}&status=PENDING`)).toEqual([third]);
    expect(await ids(`product_id=${tea}&status=PENDING&created_to=2026-01-03T00:00:00Z`)).toEqual([]);
  });
});

describe('a single order', () => {
  test('that is unknown: 404, in exactly these words', async () => {
    for (const url of ['/orders/999999', '/orders/999999/history']) {
      expect(await service.call('GET', url)).toBeProblem(404, 'order_not_found', 'Order not found');
    }
  });

  test('carries its version as ETag; a caller that has it gets 304 and no body', async () => {
    const { id } = await service.placeOrder((await service.createProduct()).id, 1);
    const known = { 'if-none-match': '"1"' };
    const same = await service.call('GET', `/orders/${id}`, undefined, known);
    expect([same.status, same.text, same.headers.etag]).toEqual([304, '', '"1"']);
    await service.call('PUT', `/orders/${id}`, { status: 'PAID' });
    const { status, headers, body } = await service.call('GET', `/orders/${id}`, undefined, known);
    expect([status, headers.etag, body.status]).toEqual([200, '"2"', 'PAID']);
  });
});

describe('the history', () => {
  test('tells every step with its time, actor, cause, version and request, oldest first', async () => {
    const { id: product_id } = await service.createProduct();
    const order = { product_id, quantity: 1 };
    const { id } = (await service.call('POST', '/orders', order, { 'x-request-id': 'place' })).body;
    await service.pay({ event_type: 'payment.succeeded', order_id: id }, { 'x-request-id': 'pay' });
    await service.call('DELETE', `/orders/${id}`, undefined, { 'x-request-id': 'cancel' });

    const { status, body } = await service.call('GET', `/orders/${id}/history`);
    expect(status).toBe(200);
    const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(body).toEqual([
      {
        from: null,
        to: 'PENDING',
        at,
        actor: 'anonymous',
        cause: 'placed',
        version: 1,
        request_id: 'place',
        refund_due: false,
      },
      {
        from: 'PENDING',
        to: 'PAID',
        at,
        actor: 'payment-provider',
        cause: 'payment.succeeded',
        version: 2,
        request_id: 'pay',
        refund_due: false,
      },
      {
        from: 'PAID',
        to: 'CANCELED',
        at,
        actor: 'anonymous',
        cause: 'request',
        version: 3,
        request_id: 'cancel',
        refund_due: true,
      },
    ]);
    const times = body.map((step: { at: string }) => step.at);
    expect(times).toEqual(times.toSorted());
  });

  test('a refused step is not in it', async () => {
    const { id } = await service.placeOrder((await service.createProduct()).id, 1);
    await service.call('PUT', `/orders/${id}`, { status: 'SHIPPED' });
    expect((await service.call('GET', `/orders/${id}/history`)).body).toHaveLength(1);
  });
});
