import { describe, expect, test } from 'vitest';

import { expectStockAddsUp } from '../support/invariants.ts';
import { permutationsOf } from '../support/payment-oracle.ts';
import '../support/problems.ts';
import { type TestService, useSharedService, useTestService } from '../support/service.ts';
import {
  charge,
  dispute,
  paymentIntent,
  refund,
  STRIPE_SECRET,
  stripeEvent,
  stripeHeaders,
} from '../support/stripe.ts';

const SETTINGS = { config: { stripe: { secrets: [STRIPE_SECRET], livemode: false } } };

const deliver = (service: TestService, payload: string) =>
  service.call('POST', '/webhooks/stripe', payload, stripeHeaders(payload));

/** An order of 50.00, the intent that pays it, and its events. */
async function order(service: TestService) {
  const { id: productId } = await service.createProduct({ price: 50, stock: 10 });
  const { id: orderId } = await service.placeOrder(productId, 1);
  const intent = `pi_${orderId}`;
  const money = { amount: 5000, intent };
  return {
    orderId,
    intent,
    paid: stripeEvent('payment_intent.succeeded', paymentIntent({ ...money, orderId })),
    canceled: stripeEvent('payment_intent.canceled', paymentIntent({ ...money, orderId }, 'canceled')),
    /** All that was refunded so far. */
    refundedSoFar: (refunded: number) => stripeEvent('charge.refunded', charge({ ...money, refunded })),
    refunded: (id: string, amount: number, type = 'refund.created', status = 'succeeded') =>
      stripeEvent(type, refund({ intent, amount, id: `re_${orderId}_${id}`, status })),
    disputed: stripeEvent('charge.dispute.created', dispute({ ...money, id: `du_${orderId}` })),
    shown: async () => {
      const { status, amount_paid, amount_refunded, refund_due } = (
        await service.call('GET', `/orders/${orderId}`)
      ).body;
      return [status, amount_paid, amount_refunded, refund_due ?? false];
    },
    exceptions: async () => {
      const list = await service.call('GET', `/payments/exceptions?order_id=${orderId}`);
      return list.body.map(({ reason, status }: Record<string, string>) => `${reason} ${status}`);
    },
  };
}

describe('refunds', () => {
  const service = useSharedService(SETTINGS);

  test('two partial refunds, told as sums and as single refunds, in all 24 orders: 20.00 and 30.00 went back', async () => {
    const orders = permutationsOf([0, 1, 2, 3]);
    for (const turn of orders) {
      const { paid, refundedSoFar, refunded, shown } = await order(service);
      await deliver(service, paid);
      const events = [refundedSoFar(2000), refundedSoFar(5000), refunded('a', 2000), refunded('b', 3000)];
      for (const at of turn) await deliver(service, events[at] ?? '');
      // Another event of the same refund.
      expect((await deliver(service, refunded('b', 3000, 'refund.updated'))).body.status).toBe('ignored');
      expect(await shown(), `in the order ${turn.join()}`).toEqual(['CANCELED', 50, 50, false]);
    }
    await expectStockAddsUp(service.database);
  });

  test('a part that is told twice, once as a sum, stays a part', async () => {
    const { paid, refundedSoFar, refunded, shown, exceptions } = await order(service);
    await deliver(service, paid);
    expect((await deliver(service, refunded('a', 2000))).body.reason).toBe('partial_refund');
    expect((await deliver(service, refundedSoFar(2000))).body.status).toBe('ignored');
    expect(await shown()).toEqual(['PAID', 50, 20, false]);
    expect(await exceptions()).toEqual(['partial_refund OPEN']);
  });

  test('a slow refund counts once it has succeeded, and one that is canceled never', async () => {
    const { paid, refunded, shown } = await order(service);
    await deliver(service, paid);
    expect((await deliver(service, refunded('a', 5000, 'refund.created', 'pending'))).body.status).toBe(
      'ignored',
    );
    expect((await deliver(service, refunded('b', 5000, 'refund.updated', 'canceled'))).body.status).toBe(
      'ignored',
    );
    expect(await shown()).toEqual(['PAID', 50, 0, false]);
    expect((await deliver(service, refunded('a', 5000, 'refund.updated'))).body.new_status).toBe('CANCELED');
    expect(await shown()).toEqual(['CANCELED', 50, 50, false]);
  });

  test('before its payment is 404, and counts when Stripe sends it again', async () => {
    const { paid, refundedSoFar, shown } = await order(service);
    const early = refundedSoFar(5000);
    expect(await deliver(service, early)).toBeProblem(404, 'order_not_found');
    await deliver(service, paid);
    expect((await deliver(service, early)).body.new_status).toBe('CANCELED');
    expect(await shown()).toEqual(['CANCELED', 50, 50, false]);
  });
});

describe('payments', () => {
  const service = useSharedService(SETTINGS);

  test('two events of one change, each sent twice, are one payment', async () => {
    const { orderId, intent, paid, shown, exceptions } = await order(service);
    const again = stripeEvent('payment_intent.succeeded', paymentIntent({ amount: 5000, intent, orderId }));
    for (const payload of [paid, again, paid, again]) await deliver(service, payload);
    expect(await shown()).toEqual(['PAID', 50, 0, false]);
    expect(await exceptions()).toEqual([]);
  });

  test('a failed attempt moves nothing, a canceled intent cancels, and its payment after that is a review', async () => {
    const { orderId, intent, paid, canceled, shown } = await order(service);
    const attempt = paymentIntent({ amount: 5000, intent, orderId }, 'requires_payment_method');
    const failed = await deliver(service, stripeEvent('payment_intent.payment_failed', attempt));
    expect(failed.body.status).toBe('ignored');
    expect((await deliver(service, canceled)).body.new_status).toBe('CANCELED');
    expect((await deliver(service, paid)).body.reason).toBe('order_canceled');
    expect(await shown()).toEqual(['CANCELED', 50, 0, true]);
  });

  test('a partial capture is less than the total', async () => {
    const { orderId, intent, shown } = await order(service);
    const object = { ...paymentIntent({ amount: 5000, intent, orderId }), amount_received: 3000 };
    expect((await deliver(service, stripeEvent('payment_intent.succeeded', object))).body.reason).toBe(
      'underpaid',
    );
    expect(await shown()).toEqual(['PENDING', 30, 0, false]);
  });

  test('another currency counts nowhere', async () => {
    const { orderId, intent, shown, exceptions } = await order(service);
    const object = paymentIntent({ amount: 5000, currency: 'jpy', intent, orderId });
    expect((await deliver(service, stripeEvent('payment_intent.succeeded', object))).body.reason).toBe(
      'currency_mismatch',
    );
    expect(await shown()).toEqual(['PENDING', 0, 0, false]);
    expect(await exceptions()).toEqual(['currency_mismatch OPEN']);
  });

  test('a dispute is a review, once, and moves nothing', async () => {
    const { paid, disputed, shown, exceptions } = await order(service);
    await deliver(service, paid);
    expect((await deliver(service, disputed)).body.reason).toBe('disputed');
    expect((await deliver(service, disputed)).body.status).toBe('already_processed');
    expect(await shown()).toEqual(['PAID', 50, 0, false]);
    expect(await exceptions()).toEqual(['disputed OPEN']);
  });
});

describe('an order id in metadata that is somebody else’s', () => {
  const service = useSharedService(SETTINGS);

  test('cannot take the money of a known intent to another order, nor its refund', async () => {
    const [mine, victim] = [await order(service), await order(service)];
    for (const { paid } of [mine, victim]) await deliver(service, paid);
    const { intent } = mine;
    const stolen = stripeEvent(
      'charge.refunded',
      charge({ amount: 5000, refunded: 5000, intent, orderId: victim.orderId }),
    );
    expect((await deliver(service, stolen)).body).toMatchObject({
      order_id: mine.orderId,
      new_status: 'CANCELED',
    });
    expect(await victim.shown()).toEqual(['PAID', 50, 0, false]);
  });

  test('a refund of an intent that nobody knows does not touch an order that another intent has paid', async () => {
    const victim = await order(service);
    await deliver(service, victim.paid);
    const object = charge({ amount: 5000, refunded: 5000, intent: 'pi_foreign', orderId: victim.orderId });
    expect(await deliver(service, stripeEvent('charge.refunded', object))).toBeProblem(
      404,
      'order_not_found',
    );
    expect(await victim.shown()).toEqual(['PAID', 50, 0, false]);
    expect(await victim.exceptions()).toEqual([]);
  });

  test('an intent of another amount that is canceled does not cancel the order', async () => {
    const victim = await order(service);
    const object = paymentIntent({ amount: 100, intent: 'pi_cheap', orderId: victim.orderId }, 'canceled');
    expect((await deliver(service, stripeEvent('payment_intent.canceled', object))).body.status).toBe(
      'ignored',
    );
    expect(await victim.shown()).toEqual(['PENDING', 0, 0, false]);
  });

  test('a payment of another amount never makes the order paid', async () => {
    const victim = await order(service);
    const object = paymentIntent({ amount: 1, intent: 'pi_penny', orderId: victim.orderId });
    expect((await deliver(service, stripeEvent('payment_intent.succeeded', object))).body.reason).toBe(
      'underpaid',
    );
    expect((await victim.shown())[0]).toBe('PENDING');
    // The true payment pays it all the same, and what came too much is told.
    expect((await deliver(service, victim.paid)).body).toMatchObject({
      status: 'review',
      reason: 'overpaid',
    });
    expect((await victim.shown())[0]).toBe('PAID');
  });
});

test('a shop that takes JPY: 500 yen are 500, not 5.00', async () => {
  const service = await useTestService({ ...SETTINGS, currency: 'JPY' });
  const { id } = await service.createProduct({ price: 500, stock: 1 });
  const { id: orderId } = await service.placeOrder(id, 1);
  const object = paymentIntent({ amount: 500, currency: 'jpy', intent: 'pi_yen', orderId });
  expect((await deliver(service, stripeEvent('payment_intent.succeeded', object))).body.new_status).toBe(
    'PAID',
  );
  expect((await service.call('GET', `/orders/${orderId}`)).body.amount_paid).toBe(500);
});
