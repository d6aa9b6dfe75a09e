import { describe, expect, test } from 'vitest';

import {
  expiredBy,
  letTimePass,
  placeOverdue,
  stockOf,
  sweep,
  useExpiringService,
} from '../support/expiry.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import '../support/problems.ts';
import { eventsOf } from '../support/race.ts';
import { useSharedService } from '../support/service.ts';

describe.each([true, false])('an order that was not paid in time, swept: %s', (swept) => {
  const service = useSharedService({ orderTtlMinutes: 15 });

  async function overdueOrder() {
    const { id: productId } = await service.createProduct({ stock: 5 });
    const [id = 0] = await placeOverdue(service, 1, [productId, 5]);
    if (swept) await sweep(service);
    return { id, productId, before: await expiredBy(service) };
  }

  /** Expired, once, and found by the sweep or by what came for it. */
  async function expectExpired(
    { id, productId, before }: Awaited<ReturnType<typeof overdueOrder>>,
    by: string,
  ) {
    expect(await expiredBy(service)).toEqual(swept ? before : { ...before, [by]: (before[by] ?? 0) + 1 });
    const events = await eventsOf(service, id);
    expect(events.filter((event) => event.startsWith('order.'))).toEqual([
      'order.created 1',
      'order.expired 2',
    ]);
    expect(await stockOf(service, productId)).toEqual({ stock: 5, reserved: 0, on_hand: 5 });
    await expectStockAddsUp(service.database);
  }

  test.each([
    ['PUT', '', { status: 'PAID' }],
    ['PATCH', '/status', { status: 'PAID' }],
    ['PUT', '', { status: 'SHIPPED' }],
    ['PUT', '', { status: 'PENDING' }],
    ['PUT', '', { status: 'CANCELED' }],
    ['DELETE', '', undefined],
  ] as const)('%s %s %j: 400 as for every canceled order, and it is expired', async (method, path, body) => {
    const order = await overdueOrder();
    const answer = await service.call(method, `/orders/${order.id}${path}`, body);
    const detail = `Invalid status transition from CANCELED to ${body?.status ?? 'CANCELED'}`;
    expect(answer).toBeProblem(400, 'invalid_status_transition', detail);
    expect(answer.body.allowed).toEqual([]);
    await expectExpired(order, 'request');
  });

  test('If-Match of the version that it had: 412 with the order as it is now', async () => {
    const order = await overdueOrder();
    const { id } = order;
    const answer = await service.call('PUT', `/orders/${id}`, { status: 'PAID' }, { 'if-match': '"1"' });
    expect(answer).toBeProblem(412, 'version_mismatch');
    expect(answer.body.current).toMatchObject({ id, status: 'CANCELED', version: 2 });
    expect(answer.headers.etag).toBe('"2"');
    await expectExpired(order, 'request');
  });

  test.each([
    ['payment.succeeded', 50, { status: 'review', reason: 'order_expired' }],
    ['payment.succeeded', 49, { status: 'review', reason: 'order_expired' }],
    ['payment.refunded', 50, { status: 'review', reason: 'refund_exceeds_payments' }],
    ['payment.failed', 50, { status: 'ignored', reason: 'The order has expired already' }],
  ])(
    '%s of %i: an answer once, and the same effect when delivered again',
    async (event_type, amount, told) => {
      const order = await overdueOrder();
      const { id } = order;
      const event = { event_type, amount, order_id: id, event_id: `late-${id}` };
      const { status, body } = await service.pay(event);
      expect([status, body]).toEqual([200, expect.objectContaining({ ...told, order_id: id })]);
      expect(body).not.toHaveProperty('expired');
      expect((await service.pay(event)).body.status).toBe('already_processed');
      const reviews = await service.database.query(
        'select reason from payment_exceptions where order_id = $1',
        [id],
      );
      expect(reviews).toEqual(told.status === 'review' ? [{ reason: told.reason }] : []);
      const [stored] = await service.database.query(
        'select outcome, new_status from inbound_deliveries where order_id = $1',
        [id],
      );
      expect(stored).toEqual({ outcome: told.status, new_status: null });
      await expectExpired(order, 'payment');
    },
  );

  test('an event of an unused type leaves it as it is', async () => {
    const { id } = await overdueOrder();
    const { body } = await service.pay({ event_type: 'payment.pending', order_id: id });
    expect(body.status).toBe('ignored');
    const expected = swept ? ['order.created 1', 'order.expired 2'] : ['order.created 1'];
    expect(await eventsOf(service, id)).toEqual(expected);
  });
});

test('a payment for an order that was canceled in its time is not taken for one that expired', async () => {
  const service = await useExpiringService();
  const { id: productId } = await service.createProduct();
  const { id } = await service.placeOrder(productId, 1);
  await service.call('DELETE', `/orders/${id}`);
  await letTimePass(service, [id]);
  const { body } = await service.pay({ event_type: 'payment.succeeded', order_id: id });
  expect(body).toMatchObject({ status: 'review', reason: 'order_canceled' });
});

test('a refund that came before its payment does not revive an expired order, and is settled by it', async () => {
  const service = await useExpiringService();
  const { id: productId } = await service.createProduct({ stock: 3 });
  const { id } = await service.placeOrder(productId, 3);
  await service.pay({ event_type: 'payment.refunded', order_id: id, event_id: 'refund' });
  await letTimePass(service, [id]);
  await service.pay({ event_type: 'payment.succeeded', order_id: id, event_id: 'payment' });
  const reviews = await service.database.query(
    'select reason, resolution from payment_exceptions order by id',
  );
  expect(reviews).toEqual([{ reason: 'refund_before_payment', resolution: 'settled' }]);
  expect(await stockOf(service, productId)).toEqual({ stock: 3, reserved: 0, on_hand: 3 });
  await expectStockAddsUp(service.database);
});
