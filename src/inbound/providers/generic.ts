import type { IncomingHttpHeaders } from 'node:http';

import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { readJson, roundedNumber } from '../../http/json-body.ts';
import { AmountInput, Id, NoQuery, nullableText, ref, text } from '../../http/schemas.ts';
import { validationFailed } from '../../lib/errors.ts';
import { toCents } from '../../lib/money.ts';
import type { PaymentEvent } from '../../payments/payment-event.ts';
import { isPaymentEventType, paymentEventTypes } from '../../payments/payment-rules.ts';
import { isObject, isText, membersOf } from '../payload.ts';
import {
  type Description,
  PAYMENT_EVENT_BYTES,
  type Provider,
  type SignedMessage,
  type Unverified,
} from '../provider.ts';
import { PaymentWebhookResult } from '../webhook.schemas.ts';
import { eventIdentity, verifySignature } from '../webhook-signature.ts';

/* Any provider that can be told what to send, and that signs as one of the two schemes of webhook-signature.ts. */

export const PaymentWebhookBody = Type.Object(
  {
    event_type: {
      ...text(1, 100, { 'x-text': 'exact' }),
      description: 'payment.succeeded, payment.failed, payment.refunded or payment.disputed',
    },
    order_id: Type.Optional({ ...Id, description: 'Required in events of these types' }),
    event_id: Type.Optional({
      ...text(1, 255, { 'x-text': 'exact' }),
      description: 'What makes a repeated delivery the same event; null is as good as none',
    }),
    amount: Type.Optional(AmountInput),
    currency: Type.Optional({
      ...text(1, 100, { 'x-text': 'exact' }),
      description: 'ISO 4217; money in another currency than the shop’s is a review. Null is as good as none',
    }),
    payment_method: Type.Optional(
      nullableText(100, { description: 'Only recorded: a value of another kind is left out, not refused' }),
    ),
  },
  {
    $id: 'PaymentWebhook',
    // Providers add fields; they are kept in the raw body.
    additionalProperties: true,
    if: { properties: { event_type: { enum: [...paymentEventTypes] } } },
    then: { properties: { order_id: Id }, required: ['order_id'], additionalProperties: true },
    description: 'Events of other types are answered with ignored, whatever they hold',
    'x-example-names': ['succeeded', 'failed', 'refunded'],
    examples: [
      {
        event_type: 'payment.succeeded',
        event_id: 'evt_0001',
        order_id: 1,
        amount: 59.98,
        payment_method: 'card',
      },
      { event_type: 'payment.failed', event_id: 'evt_0002', order_id: 1 },
      { event_type: 'payment.refunded', event_id: 'evt_0003', order_id: 1, amount: 59.98 },
    ],
  },
);

const receivePaymentEvent = {
  operationId: 'receivePaymentEvent',
  summary: 'Receive a payment event',
  description:
    'The signature is an HMAC-SHA256 over the raw body, checked before anything is parsed: X-Webhook-Signature ' +
    '(`sha256=<hex>`, `sha256=<base64>` or bare hex), or the three headers of Standard Webhooks, whose timestamp may be ' +
    '5 minutes off. Every event is applied once, however often it is delivered; a known event is answered with ' +
    'already_processed, even when the copy is damaged.',
  tags: ['Webhooks'],
  security: [{ webhookSignature: [] }, { standardWebhooks: [] }],
  querystring: NoQuery,
  body: ref(PaymentWebhookBody),
  response: { 200: ref(PaymentWebhookResult) },
  problems: [400, 401, 403, 'stale_signature', 'order_not_found', 413, 415, 422, 503],
} satisfies FastifySchema;

export function createGenericProvider(secrets: readonly string[]): Provider {
  return {
    name: 'generic',
    path: '/webhooks/payment',
    schemes: ['x-webhook-signature', 'standard-webhooks'],
    bodyLimitBytes: PAYMENT_EVENT_BYTES,
    schema: receivePaymentEvent,
    verify: (headers, rawBody, nowMs) => verify(headers, rawBody, secrets, nowMs),
    parse: parsePayment,
    read: toPaymentEvent,
    describe: describePayment,
  };
}

function verify(
  headers: IncomingHttpHeaders,
  rawBody: Buffer,
  secrets: readonly string[],
  nowMs: number,
): SignedMessage | Unverified {
  const webhookId = headerOf(headers, 'webhook-id');
  const signatures = {
    signature: headerOf(headers, 'x-webhook-signature'),
    webhookId,
    webhookTimestamp: headerOf(headers, 'webhook-timestamp'),
    webhookSignature: headerOf(headers, 'webhook-signature'),
  };
  const verdict = verifySignature(signatures, rawBody, secrets, nowMs);
  if (verdict === 'missing' || verdict === 'stale') return verdict;
  if (verdict === 'invalid') return 'forged';
  return {
    rawBody,
    scheme: verdict,
    // The other scheme does not sign this header.
    webhookId: verdict === 'standard-webhooks' ? webhookId : undefined,
    unsignedEventId: headerOf(headers, 'x-event-id')?.slice(0, 255),
  };
}

/** Node joins a repeated header with commas, which no signature of ours contains. */
function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The numbers that decide something; how exact the others are is the provider's business. */
const DECIDING_NUMBERS = new Set(['/amount', '/order_id']);

/** @throws AppError malformed_request, or validation_failed for an amount or an order that the parser has rounded */
function parsePayment(rawBody: Buffer): unknown {
  const { value, rounded } = readJson(rawBody);
  if (!isObject(value)) return value;
  const { event_type } = value;
  const isUsed = typeof event_type !== 'string' || isPaymentEventType(event_type);
  if (!isUsed) return withoutUnused(value);
  const deciding = rounded.filter((pointer) => DECIDING_NUMBERS.has(pointer));
  if (deciding.length > 0) throw validationFailed(deciding.map(roundedNumber));
  return withoutUnrecorded(value);
}

/**
 * A field that is only recorded never refuses money. A payment_method that cannot be recorded is left out, and so is an
 * event_id of null, which identifies nothing. The raw body keeps them.
 */
function withoutUnrecorded(members: Record<string, unknown>): Record<string, unknown> {
  const { event_id, currency, payment_method, ...rest } = members;
  return {
    ...rest,
    ...(event_id === undefined || event_id === null ? {} : { event_id }),
    ...(currency === undefined || currency === null ? {} : { currency }),
    ...(isText(payment_method, 100) ? { payment_method } : {}),
  };
}

/**
 * An event of a type that is not used is acknowledged, whatever else is in it: its provider would otherwise send it for
 * days. So only what identifies it is held against the schema.
 */
function withoutUnused({ event_type, order_id, event_id }: Record<string, unknown>): Record<string, unknown> {
  return {
    event_type,
    ...(isId(order_id) ? { order_id } : {}),
    ...(isText(event_id, 255) ? { event_id } : {}),
  };
}

function toPaymentEvent(
  body: unknown,
  { rawBody, scheme, webhookId, unsignedEventId }: SignedMessage,
): PaymentEvent {
  // Held against the schema by the caller.
  const { event_type, order_id, event_id, amount, currency, payment_method } = body as Static<
    typeof PaymentWebhookBody
  >;
  return {
    provider: 'generic',
    identity: eventIdentity(event_id, webhookId, rawBody),
    type: event_type,
    orderId: order_id ?? null,
    amountCents: amount === undefined ? undefined : toCents(amount),
    currency: currency?.toUpperCase(),
    paymentMethod: payment_method ?? undefined,
    unsignedEventId,
    scheme,
    rawBody,
    replayed: false,
  };
}

function describePayment(body: unknown, { rawBody, webhookId }: SignedMessage): Description {
  const { event_id, event_type, order_id } = membersOf(body);
  return {
    identity: eventIdentity(isText(event_id, 255) ? event_id : undefined, webhookId, rawBody),
    eventType: isText(event_type, 100) ? event_type : null,
    orderId: isId(order_id) ? order_id : null,
  };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}
