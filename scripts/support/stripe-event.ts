import { createHmac } from 'node:crypto';

import type { PaymentEvent, SignedWebhook } from './sign-webhook.ts';

/*
 * Events as Stripe sends them, with the members that matter: written from its documentation, not with the service's own
 * code, so that a fault there cannot agree with itself here.
 */

export interface StripeTerms {
  currency: string;
  livemode: boolean;
}

/** What a payment event is called at Stripe; any other type is sent as it is. */
const NAMES: Record<string, string> = {
  'payment.succeeded': 'payment_intent.succeeded',
  'payment.failed': 'payment_intent.canceled',
  'payment.refunded': 'refund.created',
  'payment.disputed': 'charge.dispute.created',
};

export function toStripeEvent(event: PaymentEvent, { currency, livemode }: StripeTerms): object {
  const type = NAMES[event.event_type] ?? event.event_type;
  return {
    id: event.event_id,
    object: 'event',
    created: Math.floor(Date.now() / 1000),
    livemode,
    type,
    data: { object: objectOf(type, event, currency) },
  };
}

function objectOf(type: string, { event_id, order_id, amount = 0 }: PaymentEvent, currency: string): object {
  // One payment intent an order, so that a refund finds the payment that was sent before it.
  const intent = `pi_order_${order_id}`;
  const money = { amount: minorUnits(amount, currency), currency: currency.toLowerCase() };
  if (type.startsWith('payment_intent.')) {
    const received = type.endsWith('.succeeded') ? { amount_received: money.amount } : {};
    const metadata = { order_id: String(order_id) };
    return {
      id: intent,
      object: 'payment_intent',
      ...money,
      ...received,
      metadata,
      payment_method_types: ['card'],
    };
  }
  const charge = intent.replace('pi_', 'ch_');
  if (type === 'charge.refunded') {
    return { id: charge, object: 'charge', ...money, amount_refunded: money.amount, payment_intent: intent };
  }
  const [prefix, object] = type.includes('dispute') ? ['du', 'dispute'] : ['re', 'refund'];
  const id = event_id.replace(/^evt/, prefix);
  return { id, object, ...money, charge, payment_intent: intent, status: 'succeeded' };
}

/** Stripe takes these with two decimals although they have none (docs.stripe.com/currencies). */
const TWO_DECIMALS = new Set(['ISK', 'UGX']);

function minorUnits(amount: number, currency: string): number {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  const { maximumFractionDigits = 2 } = format.resolvedOptions();
  return Math.round(amount * 10 ** (TWO_DECIMALS.has(currency) ? 2 : maximumFractionDigits));
}

/** `Stripe-Signature: t=<seconds>,v1=<hex>`; the key is the whole secret, `whsec_` included. */
export function signStripeEvent(event: object, secret: string, nowMs: number): SignedWebhook {
  const body = JSON.stringify(event);
  const timestamp = Math.floor(nowMs / 1000);
  const digest = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  return {
    body,
    headers: { 'content-type': 'application/json', 'stripe-signature': `t=${timestamp},v1=${digest}` },
  };
}
