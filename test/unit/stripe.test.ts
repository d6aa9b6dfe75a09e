import fc from 'fast-check';
import { Stripe } from 'stripe';
import { describe, expect, test } from 'vitest';

import { createStripeProvider } from '../../src/inbound/providers/stripe.ts';
import { verifyStripeSignature } from '../../src/inbound/webhook-signature.ts';
import { AppError } from '../../src/lib/errors.ts';
import type { PaymentEvent } from '../../src/payments/payment-event.ts';
import {
  charge,
  dispute,
  paymentIntent,
  refund,
  STRIPE_SECRET,
  stripeEvent,
  stripeHeaders,
} from '../support/stripe.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const SECONDS = NOW / 1000;
const PAYLOAD = stripeEvent('payment_intent.succeeded', paymentIntent({ amount: 5998, orderId: 1 }));

const ours = (header: string | undefined, payload = PAYLOAD) =>
  verifyStripeSignature(header, Buffer.from(payload), [STRIPE_SECRET], NOW);

/** What Stripe's own library says of a header. */
function theirs(header: string, payload = PAYLOAD): 'right' | 'wrong' {
  try {
    Stripe.webhooks.constructEvent(payload, header, STRIPE_SECRET, undefined, undefined, NOW);
    return 'right';
  } catch {
    return 'wrong';
  }
}

const signedLater = (seconds: number) =>
  ours(stripeHeaders(PAYLOAD, STRIPE_SECRET, NOW + seconds * 1000)['stripe-signature']);

describe('the signature', () => {
  const right = stripeHeaders(PAYLOAD, STRIPE_SECRET, NOW)['stripe-signature'];
  const v1 = right.split('v1=')[1] ?? '';
  const wrong = '0'.repeat(64);

  test.each([
    ['one v1', right, 'stripe-signature'],
    ['a wrong v1 before the right one', `t=${SECONDS},v1=${wrong},v1=${v1}`, 'stripe-signature'],
    ['a wrong v1 behind the right one', `t=${SECONDS},v1=${v1},v1=${wrong}`, 'stripe-signature'],
    ['other versions beside it', `t=${SECONDS},v0=${wrong},v1=${v1},v2=x`, 'stripe-signature'],
    ['the time at the end', `v1=${v1},t=${SECONDS}`, 'stripe-signature'],
    ['only a v0', `t=${SECONDS},v0=${v1}`, 'invalid'],
    ['no time', `v1=${v1}`, 'invalid'],
    ['another time than was signed', `t=${SECONDS - 1},v1=${v1}`, 'invalid'],
    ['a time of letters', `t=now,v1=${v1}`, 'invalid'],
    ['no signature', `t=${SECONDS}`, 'invalid'],
    ['a space before v1', `t=${SECONDS}, v1=${v1}`, 'invalid'],
    ['a digest cut short', `t=${SECONDS},v1=${v1.slice(0, 62)}`, 'invalid'],
  ])('%s: the verdict is that of Stripe’s library', (_name, header, verdict) => {
    expect(ours(header)).toBe(verdict);
    expect(theirs(header)).toBe(verdict === 'stripe-signature' ? 'right' : 'wrong');
  });

  test('nothing at all is missing, and a header above 4 KB is not read', () => {
    expect([ours(undefined), ours('')]).toEqual(['missing', 'missing']);
    expect(ours(`${right},${'v0=x,'.repeat(1000)}`)).toBe('invalid');
  });

  test('is good for 300 seconds, and stale one second later, also when it comes from the future', () => {
    expect([-301, -300, 300, 301].map(signedLater)).toEqual([
      'stale',
      'stripe-signature',
      'stripe-signature',
      'stale',
    ]);
  });

  test('an empty secret verifies nothing', () => {
    const header = `t=${SECONDS},v1=${v1}`;
    expect(verifyStripeSignature(header, Buffer.from(PAYLOAD), [''], NOW)).toBe('invalid');
  });

  test('whatever the items of a header are, no header is right here that is wrong for Stripe’s library', () => {
    const item = fc.constantFrom(
      `t=${SECONDS}`,
      `t=${SECONDS}x`,
      `t=${SECONDS - 301}`,
      `t=0${SECONDS}`,
      `v1=${v1}`,
      `v1=${v1}=`,
      `v1=${v1.toUpperCase()}`,
      `v1=${wrong}`,
      `v0=${v1}`,
      '',
    );
    fc.assert(
      fc.property(fc.array(item, { maxLength: 6 }), (items) => {
        const header = items.join(',');
        expect([ours(header), theirs(header)]).not.toEqual(['stripe-signature', 'wrong']);
      }),
      { numRuns: 300 },
    );
  });
});

const provider = createStripeProvider({ secrets: [STRIPE_SECRET], livemode: false });

function read(payload: string): PaymentEvent {
  const rawBody = Buffer.from(payload);
  const message = provider.verify(stripeHeaders(payload, STRIPE_SECRET, NOW), rawBody, NOW);
  if (typeof message === 'string') throw new Error(`a right signature is ${message}`);
  return provider.read(provider.parse(rawBody), message);
}

const INTENT = 'pi_3MtwBwLkdIwHu7ix28a3tqPa';

describe('reading', () => {
  test('payment_intent.succeeded is what was received, which may be less than was asked for', () => {
    const object = { ...paymentIntent({ amount: 5998, orderId: 7 }), amount_received: 3000 };
    expect(read(stripeEvent('payment_intent.succeeded', object))).toMatchObject({
      type: 'payment.succeeded',
      orderId: 7,
      amountCents: 3000,
      paymentMethod: 'card',
      scheme: 'stripe-signature',
      currency: 'USD',
      figure: { paymentId: INTENT, refundId: undefined },
    });
  });

  test('payment_intent.canceled is a failure; payment_failed is one attempt, of a type that is not used', () => {
    const canceled = paymentIntent({ amount: 5998, orderId: 7 }, 'canceled');
    expect(read(stripeEvent('payment_intent.canceled', canceled))).toMatchObject({
      type: 'payment.failed',
      orderId: 7,
    });
    const failed = paymentIntent({ amount: 5998, orderId: 7 }, 'requires_payment_method');
    expect(read(stripeEvent('payment_intent.payment_failed', failed)).type).toBe(
      'payment_intent.payment_failed',
    );
  });

  test('charge.refunded is all that was refunded of the payment so far, refund.created one refund of it', () => {
    const sum = read(stripeEvent('charge.refunded', charge({ amount: 5998, refunded: 1500 })));
    expect(sum).toMatchObject({
      type: 'payment.refunded',
      orderId: null,
      amountCents: 1500,
      figure: { paymentId: INTENT, refundId: undefined },
    });
    for (const type of ['refund.created', 'refund.updated', 'charge.refund.updated']) {
      expect(read(stripeEvent(type, refund({ amount: 500, id: 're_1' })))).toMatchObject({
        type: 'payment.refunded',
        amountCents: 500,
        figure: { paymentId: INTENT, refundId: 're_1' },
      });
    }
  });

  test.each(['pending', 'requires_action', 'canceled', null])(
    'a refund that is %s moves no money',
    (status) => {
      const event = read(stripeEvent('refund.updated', refund({ amount: 500, status })));
      expect(event).toMatchObject({
        type: 'payment.refunded',
        ignored: `The refund is ${status ?? 'pending'}`,
      });
    },
  );

  test('charge.dispute.created is a dispute of the payment', () => {
    expect(read(stripeEvent('charge.dispute.created', dispute({ amount: 5998 })))).toMatchObject({
      type: 'payment.disputed',
      amountCents: 5998,
      figure: { paymentId: INTENT },
    });
  });

  test.each([
    ['usd', 5998, 5998],
    ['jpy', 500, 50_000],
    ['krw', 1, 100],
    ['isk', 500, 500],
    ['ugx', 500, 500],
    ['kwd', 12_340, 1234],
    ['kwd', 12_345, undefined],
  ])('%s: %d of its smallest units are %s cents', (currency, amount, cents) => {
    const event = read(
      stripeEvent('payment_intent.succeeded', paymentIntent({ amount, currency, orderId: 7 })),
    );
    expect(event.amountCents).toBe(cents);
    expect(event.currency).toBe(currency.toUpperCase());
  });

  test.each([
    [false, true, 'test', 'live'],
    [true, false, 'live', 'test'],
  ])('an event with livemode %s is ignored where livemode is %s', (sent, taken, from, only) => {
    const other = createStripeProvider({ secrets: [STRIPE_SECRET], livemode: taken });
    const payload = stripeEvent('payment_intent.succeeded', paymentIntent({ amount: 1, orderId: 7 }), {
      livemode: sent,
    });
    const message = other.verify(stripeHeaders(payload, STRIPE_SECRET, NOW), Buffer.from(payload), NOW);
    if (typeof message === 'string') throw new Error(message);
    expect(other.read(other.parse(message.rawBody), message)).toMatchObject({
      orderId: null,
      ignored: `This is an event of Stripe’s ${from} mode, and only ${only} events are used`,
    });
  });

  test.each(['A-1001', '0', '-1', '1.5', '9007199254740993', ' 7', '12345678901234567', ''])(
    'an order id of another shop, %j, names no order',
    (orderId) => {
      const object = paymentIntent({ amount: 1, orderId });
      expect(read(stripeEvent('payment_intent.succeeded', object)).orderId).toBeNull();
    },
  );

  test('what is only recorded never refuses money', () => {
    const odd = { metadata: 5, payment_method_types: 'card', charge: 7, status: 3 };
    const event = read(
      stripeEvent('payment_intent.succeeded', { ...paymentIntent({ amount: 5998 }), ...odd }),
    );
    expect(event).toMatchObject({ amountCents: 5998, orderId: null, paymentMethod: undefined });
  });

  test('an amount that JSON cannot carry is refused, not rounded', () => {
    const payload = PAYLOAD.replace('"amount_received":5998', '"amount_received":9007199254740993');
    expect(() => read(payload)).toThrow(AppError);
    const unused = PAYLOAD.replace('"amount":5998', '"amount":9007199254740993');
    expect(read(unused).amountCents).toBe(5998);
  });

  test('an event is its id among Stripe’s, which is no other provider’s', () => {
    const twice = [1, 2].map((amount) =>
      read(stripeEvent('payment_intent.succeeded', paymentIntent({ amount }), { id: 'evt_1' })),
    );
    expect(twice.map(({ identity }) => identity)).toEqual(['stripe:evt_1', 'stripe:evt_1']);
  });
});
