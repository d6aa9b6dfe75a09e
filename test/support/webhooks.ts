import { createHmac } from 'node:crypto';

import { Webhook } from 'standardwebhooks';

import { type Answer, type TestService, WEBHOOK_SECRET } from './service.ts';

/** The digest of a payload in the plain scheme, to be written in any of its forms. */
export function digestOf(payload: string | Buffer, secret: string = WEBHOOK_SECRET): Buffer {
  return createHmac('sha256', secret).update(payload).digest();
}

export interface StandardSignature {
  secret?: string;
  id?: string;
  at?: Date;
}

/** The three headers of Standard Webhooks, signed by the reference implementation. */
export function standardHeaders(
  payload: string | Buffer,
  { secret = WEBHOOK_SECRET, id = 'msg_1', at = new Date() }: StandardSignature = {},
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const signer = secret.startsWith('whsec_') ? new Webhook(secret) : new Webhook(secret, { format: 'raw' });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': signer.sign(id, at, payload),
  };
}

/** Posts bytes as they are, under the given headers: signed by nobody but the caller. */
export function deliver(
  service: TestService,
  payload: string | Buffer,
  headers: Record<string, string>,
): Promise<Answer> {
  return service.call('POST', '/webhooks/payment', payload, headers);
}

export interface StoredPaymentEvent {
  identity: string;
  event_type: string;
  outcome: string;
  reason: string | null;
  new_status: string | null;
  scheme: string;
  amount: string | null;
  unsigned_event_id: string | null;
  payment_method: string | null;
  raw_body: Buffer;
  actor: string;
  request_id: string | null;
}

/** What is stored about the payments of an order, oldest first. */
export function storedPaymentEvents(service: TestService, orderId: number): Promise<StoredPaymentEvent[]> {
  return service.database.query<StoredPaymentEvent>(
    "select * from inbound_deliveries where order_id = $1 and outcome not in ('failed', 'refused') order by id",
    [orderId],
  );
}
