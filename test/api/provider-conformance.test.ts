import { createGenericProvider } from '../../src/inbound/providers/generic.ts';
import { createStripeProvider } from '../../src/inbound/providers/stripe.ts';
import { describeProvider, type SampleEvent } from '../support/provider-conformance.ts';
import { signPayload } from '../support/service.ts';
import { charge, paymentIntent, stripeEvent, stripeHeaders } from '../support/stripe.ts';
import { standardHeaders } from '../support/webhooks.ts';

const secrets = ['the-current-secret-of-24-bytes', 'the-former-secret-of-24-bytes'] as const;

function write({ type, orderId, eventId, amountCents }: SampleEvent): string {
  return JSON.stringify({
    event_type: type ?? 'customer.created',
    order_id: orderId,
    event_id: eventId,
    amount: amountCents / 100,
  });
}

describeProvider({
  provider: { ...createGenericProvider(secrets), name: 'generic, plain signature' },
  secrets,
  settings: { webhookSecrets: secrets },
  sign: (body, secret) => ({ 'x-webhook-signature': signPayload(body, secret) }),
  write,
  signsTime: false,
});

describeProvider({
  provider: { ...createGenericProvider(secrets), name: 'generic, Standard Webhooks' },
  secrets,
  settings: { webhookSecrets: secrets },
  sign: (body, secret, atMs) => standardHeaders(body, { secret, at: new Date(atMs) }),
  write,
  signsTime: true,
});

describeProvider({
  provider: createStripeProvider({ secrets, livemode: false }),
  secrets,
  settings: { config: { stripe: { secrets, livemode: false } } },
  sign: stripeHeaders,
  write: writeStripe,
  signsTime: true,
});

function writeStripe({ type, orderId, eventId, amountCents: amount }: SampleEvent): string {
  const money = { amount, orderId, intent: `pi_${orderId}` };
  if (type === 'payment.succeeded') {
    return stripeEvent('payment_intent.succeeded', paymentIntent(money), { id: eventId });
  }
  if (type === 'payment.failed') {
    return stripeEvent('payment_intent.canceled', paymentIntent(money, 'canceled'), { id: eventId });
  }
  if (type === 'payment.refunded') {
    return stripeEvent('charge.refunded', charge({ ...money, refunded: amount }), { id: eventId });
  }
  return stripeEvent('customer.created', { id: 'cus_NffrFeUfNV2Hib', object: 'customer' }, { id: eventId });
}
