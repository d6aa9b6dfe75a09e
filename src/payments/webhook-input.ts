import type { Static } from '@sinclair/typebox';

import { parseJsonBody } from '../http/json-body.ts';
import { toCents } from '../lib/money.ts';
import type { PaymentEvent, SignedDelivery } from './payment-event.ts';
import { isPaymentEventType } from './payment-rules.ts';
import type { PaymentWebhookBody } from './webhook.schemas.ts';
import { eventIdentity } from './webhook-signature.ts';

/*
 * From the bytes of a signed delivery to a payment event: for the webhook itself, and for the inbox, which does the same
 * again with what failed.
 */

/** @throws AppError malformed_request */
export function parsePayment(rawBody: Buffer): unknown {
  return withoutUnused(parseJsonBody(rawBody));
}

/**
 * An event of a type that is not used is acknowledged, whatever else is in it: its provider would otherwise send it for
 * days. So only what identifies it is held against the schema.
 */
function withoutUnused(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || !('event_type' in body)) return body;
  const { event_type, ...rest } = body as Record<string, unknown>;
  if (typeof event_type !== 'string' || isPaymentEventType(event_type)) return body;
  return {
    event_type,
    ...(isId(rest['order_id']) ? { order_id: rest['order_id'] } : {}),
    ...(typeof rest['event_id'] === 'string' ? { event_id: rest['event_id'] } : {}),
  };
}

export function toPaymentEvent(
  { event_type, order_id, event_id, amount, payment_method }: Static<typeof PaymentWebhookBody>,
  { rawBody, scheme, webhookId, unsignedEventId }: SignedDelivery,
  replayed: boolean,
): PaymentEvent {
  return {
    identity: eventIdentity(event_id, webhookId, rawBody),
    type: event_type,
    orderId: order_id ?? null,
    amountCents: amount === undefined ? undefined : toCents(amount),
    paymentMethod: payment_method ?? undefined,
    unsignedEventId,
    scheme,
    rawBody,
    replayed,
  };
}

/** What a signed body says of itself, as far as it can be stored; the body may be anything, or not even parsed. */
export function describePayment(body: unknown, { rawBody, webhookId }: SignedDelivery) {
  const members: Record<string, unknown> = typeof body === 'object' && body !== null ? { ...body } : {};
  const { event_id, event_type, order_id } = members;
  return {
    identity: eventIdentity(isText(event_id, 255) ? event_id : undefined, webhookId, rawBody),
    eventType: isText(event_type, 100) ? event_type : null,
    orderId: isId(order_id) ? order_id : null,
  };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** As the schema has it: 1 to so many code points, without NUL and lone surrogates. */
function isText(value: unknown, maxLength: number): value is string {
  if (typeof value !== 'string' || value === '') return false;
  return !value.includes('\0') && !/\p{Surrogate}/u.test(value) && Array.from(value).length <= maxLength;
}
