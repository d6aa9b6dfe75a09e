import { createHmac } from 'node:crypto';

/*
 * Signs webhooks as a payment provider does: written from the documentation, not with the service's own code, so that
 * a fault there cannot agree with itself here.
 */

export interface PaymentEvent {
  event_type: string;
  event_id: string;
  order_id: number;
  amount?: number;
  payment_method?: string;
}

/** The request to send: the signature holds for these bytes only, so the body must not be serialised again. */
export interface SignedWebhook {
  body: string;
  headers: Record<string, string>;
}

/** `X-Webhook-Signature: sha256=<hex>`; the key is the secret's literal bytes. */
export function signWebhook(event: PaymentEvent, secret: string): SignedWebhook {
  const body = JSON.stringify(event);
  const digest = createHmac('sha256', secret).update(body).digest('hex');
  return {
    body,
    headers: { 'content-type': 'application/json', 'x-webhook-signature': `sha256=${digest}` },
  };
}

/** The three headers of Standard Webhooks; here a secret that begins with `whsec_` is base64 after that. */
export function signStandardWebhook(event: PaymentEvent, secret: string, nowMs: number): SignedWebhook {
  const body = JSON.stringify(event);
  const id = event.event_id;
  const timestamp = Math.floor(nowMs / 1000);
  const encoded = /^whsec_(.*)$/.exec(secret)?.[1];
  const key = encoded === undefined ? Buffer.from(secret) : Buffer.from(encoded, 'base64');
  const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': `v1,${digest}`,
    },
  };
}
