import { describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

/** Four pieces of ten at 10.00: a total of 40. */
async function pendingOrder(): Promise<{ id: number; product_id: number }> {
  const { id: product_id } = await service.createProduct({ stock: 10, price: 10 });
  return { id: (await service.placeOrder(product_id, 4)).id, product_id };
}

function pay(type: string, id: number, more: object = {}) {
  return service.pay({ event_type: type, order_id: id, ...more });
}

function refund(id: number, more: object = {}) {
  return pay('payment.refunded', id, more);
}

function payment(id: number, more: object = {}) {
  return pay('payment.succeeded', id, more);
}

function exceptionsOf(id: number) {
  return service.database.query<{
    reason: string;
    status: string;
    resolution: string | null;
    amount: string;
  }>('select reason, status, resolution, amount from payment_exceptions where order_id = $1 order by id', [
    id,
  ]);
}

function orderEvents(id: number) {
  return service.database.query(
    `select type, aggregate_version::int as version from events
      where aggregate_type = 'order' and aggregate_id = $1 order by id`,
    [id],
  );
}

describe('a refund that comes before its payment', () => {
  test.each([
    ['names no amount', {}],
    ['names the total', { amount: 40 }],
  ])(
    'and %s is kept; the payment then pays and cancels with one raise of the version',
    async (_what, more) => {
      const { id, product_id } = await pendingOrder();
      expect((await refund(id, more)).body).toMatchObject({
        status: 'review',
        reason: 'refund_before_payment',
      });
      expect((await service.call('GET', `/orders/${id}`)).body).toMatchObject({
        status: 'PENDING',
        version: 2,
        amount_refunded: 40,
      });

      expect((await payment(id)).body).toEqual({ status: 'processed', order_id: id, new_status: 'CANCELED' });
      const { body: order } = await service.call('GET', `/orders/${id}`);
      expect(order).toMatchObject({ status: 'CANCELED', version: 3 });
      expect(order).not.toHaveProperty('refund_due');
      expect(await orderEvents(id)).toEqual([
        { type: 'order.created', version: 1 },
        { type: 'payment.recorded', version: 2 },
        { type: 'payment.recorded', version: 3 },
        { type: 'order.paid', version: 3 },
        { type: 'order.canceled', version: 3 },
      ]);
      expect((await service.call('GET', `/products/${product_id}`)).body).toMatchObject({
        stock: 10,
        reserved: 0,
      });
      expect(await exceptionsOf(id)).toMatchObject([{ status: 'RESOLVED', resolution: 'settled' }]);
      const resolved = await service.database.query(
        `select 1 from events where type = 'payment.review_resolved' and payload->'exception'->>'order_id' = $1`,
        [String(id)],
      );
      expect(resolved).toHaveLength(1);
      await expectStockAddsUp(service.database);
    },
  );

  test('in part leaves the order underpaid when its payment comes, and paid when the rest comes', async () => {
    const { id } = await pendingOrder();
    await refund(id, { amount: 5 });
    expect((await payment(id, { amount: 40 })).body).toMatchObject({ status: 'review', reason: 'underpaid' });
    expect((await payment(id)).body).toEqual({ status: 'processed', order_id: id, new_status: 'PAID' });
    expect(await exceptionsOf(id)).toMatchObject([
      { reason: 'refund_before_payment', resolution: 'settled', amount: '5.00' },
      { reason: 'underpaid', resolution: 'settled', amount: '40.00' },
    ]);
  });

  test('of more than its payment stays a review when the payment cancels the order', async () => {
    const { id } = await pendingOrder();
    await refund(id);
    expect((await payment(id, { amount: 39 })).body).toMatchObject({ new_status: 'CANCELED' });
    expect(await exceptionsOf(id)).toMatchObject([{ reason: 'refund_before_payment', status: 'OPEN' }]);
    expect((await payment(id, { amount: 1 })).body).toMatchObject({ status: 'processed' });
    expect(await exceptionsOf(id)).toMatchObject([
      { reason: 'refund_before_payment', resolution: 'settled' },
    ]);
  });
});

describe('whatever the order of arrival, each event has one effect at most', () => {
  const EVENTS = ['payment.succeeded', 'payment.failed', 'payment.refunded'] as const;
  const orders = EVENTS.flatMap((a) => EVENTS.flatMap((b) => EVENTS.map((c) => [a, b, c] as const))).filter(
    (types) => new Set(types).size === 3,
  );

  const END: Record<string, string> = {
    'payment.succeeded payment.failed payment.refunded': 'processed ignored processed CANCELED',
    'payment.succeeded payment.refunded payment.failed': 'processed processed ignored CANCELED',
    'payment.failed payment.succeeded payment.refunded': 'processed review processed CANCELED',
    'payment.failed payment.refunded payment.succeeded': 'processed review processed CANCELED',
    'payment.refunded payment.succeeded payment.failed': 'review processed ignored CANCELED',
    'payment.refunded payment.failed payment.succeeded': 'review processed processed CANCELED',
  };

  test.each(orders)('%s, %s, %s', async (...types) => {
    const { id } = await pendingOrder();
    const told = [];
    for (const type of types) told.push((await pay(type, id)).body.status);
    for (const type of types) {
      expect((await pay(type, id)).body.status).toBe('already_processed');
    }
    const { status } = (await service.call('GET', `/orders/${id}`)).body;
    expect([...told, status].join(' ')).toBe(END[types.join(' ')]);
    await expectStockAddsUp(service.database);
  });

  test('a late failure never takes back a payment', async () => {
    const { id } = await pendingOrder();
    await pay('payment.succeeded', id);
    await pay('payment.failed', id);
    expect((await service.call('GET', `/orders/${id}`)).body).toMatchObject({ status: 'PAID', version: 2 });
  });
});
