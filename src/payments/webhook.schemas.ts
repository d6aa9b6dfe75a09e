import { Type } from '@sinclair/typebox';

import type { FastifySchema } from 'fastify';

import { AmountInput, Id, NoQuery, nullableText, oneOf, ref, text } from '../http/schemas.ts';
import { OrderStatusSchema } from '../orders/order.schemas.ts';
import { paymentEventTypes } from './payment-rules.ts';

export const PaymentWebhookBody = Type.Object(
  {
    event_type: {
      ...text(1, 100, { 'x-text': 'exact' }),
      description: 'payment.succeeded, payment.failed or payment.refunded',
    },
    order_id: Type.Optional({ ...Id, description: 'Required in events of these types' }),
    event_id: Type.Optional({
      ...text(1, 255, { 'x-text': 'exact' }),
      description: 'What makes a repeated delivery the same event; null is as good as none',
    }),
    amount: Type.Optional(AmountInput),
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

export const PaymentWebhookResult = Type.Object(
  {
    status: oneOf(['processed', 'ignored', 'review', 'already_processed'], {
      description: 'What the event did',
    }),
    order_id: Type.Optional(Id),
    new_status: Type.Optional(ref(OrderStatusSchema)),
    reason: Type.Optional(Type.String()),
    detail: Type.Optional(Type.String()),
    outcome: Type.Optional(Type.String({ description: 'What became of the first delivery' })),
  },
  {
    $id: 'PaymentWebhookResult',
    'x-example-names': ['processed', 'review', 'ignored', 'already_processed'],
    examples: [
      { status: 'processed', order_id: 1, new_status: 'PAID' },
      { status: 'review', reason: 'order_canceled', detail: 'The order is canceled', order_id: 1 },
      { status: 'ignored', reason: 'The order is paid already', order_id: 1 },
      { status: 'already_processed', order_id: 1, outcome: 'processed' },
    ],
  },
);

export const receivePaymentEvent = {
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
