import { describe, expect, test } from 'vitest';

import { inboxOf } from '../support/inbox.ts';
import '../support/problems.ts';
import {
  signPayload,
  type TestService,
  useSharedService,
  useTestService,
  WEBHOOK_SECRET,
} from '../support/service.ts';
import {
  paymentIntent,
  STRIPE_SECRET,
  stripeEvent,
  type StripeEventOptions,
  stripeHeaders,
} from '../support/stripe.ts';

const SETTINGS = { config: { stripe: { secrets: [STRIPE_SECRET], livemode: false } } };

const deliver = (
  service: TestService,
  payload: string,
  headers: Record<string, string> = stripeHeaders(payload),
) => service.call('POST', '/webhooks/stripe', payload, headers);

describe('POST /webhooks/stripe', () => {
  const service = useSharedService(SETTINGS);

  /** An order of 50.00, and the event of its whole payment. */
  async function orderWithPayment(options: StripeEventOptions = {}) {
    const { id: productId } = await service.createProduct({ price: 50, stock: 10 });
    const { id: orderId } = await service.placeOrder(productId, 1);
    const object = paymentIntent({ amount: 5000, orderId, intent: `pi_${orderId}` });
    return { orderId, payload: stripeEvent('payment_intent.succeeded', object, options) };
  }

  test('a payment intent of the whole total pays the order, once', async () => {
    const { orderId, payload } = await orderWithPayment();
    expect((await deliver(service, payload)).body).toEqual({
      status: 'processed',
      order_id: orderId,
      new_status: 'PAID',
    });
    expect((await deliver(service, payload)).body.status).toBe('already_processed');
    const damaged = payload.replace('"amount_received":5000', '"amount_received":"?"');
    expect((await deliver(service, damaged)).body.status).toBe('already_processed');
  });

  test('a live event is ignored in test mode, and its order waits on', async () => {
    const { orderId, payload } = await orderWithPayment({ livemode: true });
    expect((await deliver(service, payload)).body).toEqual({
      status: 'ignored',
      reason: 'This is an event of Stripe’s live mode, and only test events are used',
    });
    expect((await service.call('GET', `/orders/${orderId}`)).body.status).toBe('PENDING');
  });

  test('the secret of one provider signs nothing for the other', async () => {
    const { payload } = await orderWithPayment();
    const foreign = stripeHeaders(payload, WEBHOOK_SECRET);
    expect(await deliver(service, payload, foreign)).toBeProblem(403, 'invalid_signature');
    expect(await deliver(service, payload, { 'x-webhook-signature': signPayload(payload) })).toBeProblem(
      401,
      'missing_signature',
    );
    const body = JSON.stringify({ event_type: 'payment.succeeded', order_id: 1 });
    const signed = { 'x-webhook-signature': signPayload(body, STRIPE_SECRET) };
    expect(await service.call('POST', '/webhooks/payment', body, signed)).toBeProblem(
      403,
      'invalid_signature',
    );
  });

  test('an event id of one provider does not use up the same id of the other', async () => {
    const { orderId, payload } = await orderWithPayment({ id: 'evt_shared' });
    const unused = { event_type: 'customer.created', order_id: orderId, event_id: 'evt_shared' };
    expect((await service.pay(unused)).body.status).toBe('ignored');
    expect((await deliver(service, payload)).body.status).toBe('processed');
    const found = await inboxOf(service, 'event_id=evt_shared');
    expect(found.map(({ identity }) => identity)).toEqual(['stripe:evt_shared', 'event:evt_shared']);
  });

  test('an event without an order is 404 and kept, so that a later delivery can succeed', async () => {
    const payload = stripeEvent('payment_intent.succeeded', paymentIntent({ amount: 5000 }));
    expect(await deliver(service, payload)).toBeProblem(404, 'order_not_found');
    const [kept] = await inboxOf(service, 'outcome=failed');
    expect(kept).toMatchObject({
      scheme: 'stripe-signature',
      event_type: 'payment.succeeded',
      order_id: null,
    });
  });

  test('what is missing from an event that is used is named', async () => {
    const { amount_received: _, ...object } = paymentIntent({ amount: 5000, orderId: 1 });
    const answer = await deliver(service, stripeEvent('payment_intent.succeeded', object));
    expect(answer).toBeProblem(422, 'validation_failed');
    expect(answer.body.errors).toMatchObject([{ path: 'body/data/object/amount_received' }]);
  });
});

test('without STRIPE_WEBHOOK_SECRET the answer says which setting is missing, however the event is signed', async () => {
  const service = await useTestService();
  const payload = stripeEvent('payment_intent.succeeded', paymentIntent({ amount: 5000, orderId: 1 }));
  const detail = 'Stripe is off: STRIPE_WEBHOOK_SECRET is not set';
  expect(await deliver(service, payload)).toBeProblem(404, 'provider_off', detail);
  expect(await deliver(service, payload, stripeHeaders(payload, 'x'))).toBeProblem(
    404,
    'provider_off',
    detail,
  );
});
