import { Stripe } from 'stripe';

/*
 * Events of Stripe, shaped as its API reference shows them (docs.stripe.com/api), signed by Stripe's own library. Members
 * that mean nothing to a shop are kept where Stripe sends them, so that reading has something to step over.
 */

export const STRIPE_SECRET = 'whsec_5f0c3b7e2d9a4861b7c0e4d2a9f83615';

/** The header of a delivery. */
export function stripeHeaders(
  payload: string | Buffer,
  secret: string = STRIPE_SECRET,
  atMs: number = Date.now(),
): Record<'stripe-signature', string> {
  const header = Stripe.webhooks.generateTestHeaderString({
    // The library signs text; the tests' bodies are UTF-8.
    payload: payload.toString(),
    secret,
    timestamp: Math.floor(atMs / 1000),
  });
  return { 'stripe-signature': header };
}

export interface StripeEventOptions {
  id?: string;
  livemode?: boolean;
}

export interface StripeMoney {
  /** In the smallest unit of the currency. */
  amount: number;
  currency?: string;
  intent?: string;
  orderId?: number | string;
}

let made = 0;

/** The envelope of every event. */
export function stripeEvent(
  type: string,
  object: Record<string, unknown>,
  {
    id = `evt_3MtwBwLkdIwHu7ix${String(++made).padStart(8, '0')}`,
    livemode = false,
  }: StripeEventOptions = {},
): string {
  return JSON.stringify({
    id,
    object: 'event',
    api_version: '2026-01-28.clover',
    created: 1_680_800_504,
    data: { object },
    livemode,
    pending_webhooks: 1,
    request: { id: 'req_2hXw8bGiPvAbZ1', idempotency_key: 'b1d4a3c0-5a4d-4a0e-8a52-5a2f5c6f9f1b' },
    type,
  });
}

const orderMetadata = (orderId: number | string | undefined) =>
  orderId === undefined ? {} : { order_id: String(orderId) };

/** docs.stripe.com/api/payment_intents/object */
export function paymentIntent(
  { amount, currency = 'usd', intent = 'pi_3MtwBwLkdIwHu7ix28a3tqPa', orderId }: StripeMoney,
  status: 'succeeded' | 'canceled' | 'requires_payment_method' = 'succeeded',
): Record<string, unknown> {
  return {
    id: intent,
    object: 'payment_intent',
    amount,
    amount_capturable: 0,
    amount_details: { tip: {} },
    amount_received: status === 'succeeded' ? amount : 0,
    application: null,
    automatic_payment_methods: { enabled: true },
    canceled_at: status === 'canceled' ? 1_680_800_505 : null,
    cancellation_reason: status === 'canceled' ? 'abandoned' : null,
    capture_method: 'automatic',
    client_secret: `${intent}_secret_YrKJUKribcBjcG8HVhfZluoGH`,
    confirmation_method: 'automatic',
    created: 1_680_800_504,
    currency,
    customer: null,
    latest_charge: status === 'succeeded' ? chargeOf(intent) : null,
    livemode: false,
    metadata: orderMetadata(orderId),
    next_action: null,
    payment_method: status === 'succeeded' ? 'pm_1MtwBwLkdIwHu7ixAbCdEfGh' : null,
    payment_method_options: {
      card: { request_three_d_secure: 'automatic' },
      link: { persistent_token: null },
    },
    payment_method_types: ['card', 'link'],
    status,
  };
}

export const chargeOf = (intent: string) => intent.replace(/^pi_/, 'ch_');

/** docs.stripe.com/api/charges/object; its metadata is a copy of the payment intent's. */
export function charge({
  amount,
  refunded,
  currency = 'usd',
  intent = 'pi_3MtwBwLkdIwHu7ix28a3tqPa',
  orderId,
}: StripeMoney & { refunded: number }): Record<string, unknown> {
  return {
    id: chargeOf(intent),
    object: 'charge',
    amount,
    amount_captured: amount,
    amount_refunded: refunded,
    balance_transaction: 'txn_1MiN3gLkdIwHu7ixxapQrznl',
    billing_details: { address: { country: null, postal_code: null }, email: null, name: null, phone: null },
    captured: true,
    created: 1_679_090_539,
    currency,
    customer: null,
    disputed: false,
    livemode: false,
    metadata: orderMetadata(orderId),
    paid: true,
    payment_intent: intent,
    payment_method: 'pm_1MtwBwLkdIwHu7ixAbCdEfGh',
    payment_method_details: { card: { brand: 'visa', last4: '4242' }, type: 'card' },
    refunded: refunded === amount,
    status: 'succeeded',
  };
}

/** docs.stripe.com/api/refunds/object */
export function refund({
  amount,
  currency = 'usd',
  intent = 'pi_3MtwBwLkdIwHu7ix28a3tqPa',
  orderId,
  id = 're_1Nispe2eZvKYlo2Cd31jOCgZ',
  status = 'succeeded',
}: StripeMoney & { id?: string; status?: string | null }): Record<string, unknown> {
  return {
    id,
    object: 'refund',
    amount,
    balance_transaction: 'txn_1Nispe2eZvKYlo2CYezqFhEx',
    charge: chargeOf(intent),
    created: 1_692_942_318,
    currency,
    destination_details: {
      card: {
        reference: '123456789012',
        reference_status: 'available',
        reference_type: 'acquirer_reference_number',
        type: 'refund',
      },
      type: 'card',
    },
    metadata: orderMetadata(orderId),
    payment_intent: intent,
    reason: null,
    receipt_number: null,
    source_transfer_reversal: null,
    status,
    transfer_reversal: null,
  };
}

/** docs.stripe.com/api/disputes/object */
export function dispute({
  amount,
  currency = 'usd',
  intent = 'pi_3MtwBwLkdIwHu7ix28a3tqPa',
  id = 'du_1MtJUT2eZvKYlo2CNaw2HvEv',
}: StripeMoney & { id?: string }): Record<string, unknown> {
  return {
    id,
    object: 'dispute',
    amount,
    balance_transactions: [],
    charge: chargeOf(intent),
    created: 1_680_651_737,
    currency,
    evidence: { customer_email_address: null, receipt: null, uncategorized_text: null },
    evidence_details: { due_by: 1_682_294_399, has_evidence: false, past_due: false, submission_count: 0 },
    is_charge_refundable: true,
    livemode: false,
    metadata: {},
    payment_intent: intent,
    reason: 'general',
    status: 'warning_needs_response',
  };
}
