import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { page } from '../http/answers.ts';
import {
  PeriodStart,
  Id,
  IdParams,
  NoQuery,
  nullable,
  oneOf,
  pageQuery,
  ref,
  text,
  Timestamp,
  PeriodEnd,
} from '../http/schemas.ts';
import { OrderStatusSchema } from '../orders/order.schemas.ts';
import { inboundOutcomes, verdicts } from './inbox.ts';
import { PaymentWebhookResult } from './webhook.schemas.ts';
import { signatureSchemes } from './webhook-signature.ts';

const tags = ['Webhooks'];

export const VerdictSchema = oneOf(verdicts, {
  $id: 'WebhookVerdict',
  description:
    'What its signature said. stale: right, but more than 5 minutes off; unchecked: refused before there was anything to check',
});
export const OutcomeSchema = oneOf(inboundOutcomes, {
  $id: 'WebhookOutcome',
  description:
    'failed: signed, but without effect; it can be replayed. refused: not signed by anybody known, or not in time. The others are ' +
    'what the webhook answered at first',
});

export const InboundDeliverySchema = Type.Object(
  {
    id: { ...Id, description: 'Stays the same when an event that failed is applied after all' },
    verdict: ref(VerdictSchema),
    scheme: nullable(oneOf(signatureSchemes), { description: 'Null unless the verdict is valid' }),
    outcome: ref(OutcomeSchema),
    reason: nullable(Type.String({ description: 'As it was answered' })),
    detail: nullable(Type.String()),
    new_status: nullable(ref(OrderStatusSchema), { description: 'Where it moved its order' }),
    identity: nullable(Type.String({ description: 'What makes a repeated delivery the same event' })),
    event_type: nullable(Type.String()),
    order_id: nullable(Id),
    unsigned_event_id: nullable(
      Type.String({ description: 'The X-Event-Id header: recorded, never trusted' }),
    ),
    deliveries: Type.Integer({ description: 'How often it came' }),
    received_at: Timestamp,
    last_delivered_at: Timestamp,
    request_id: nullable(Type.String()),
    raw_body: Type.String({ description: 'The bytes as they came; a list shows the first 4 KiB' }),
    raw_body_encoding: oneOf(['utf-8', 'base64'], { description: 'base64 when the bytes are not UTF-8' }),
    raw_body_bytes: Type.Integer({ description: 'Of the body as it came' }),
    raw_body_truncated: Type.Boolean({
      description: 'raw_body is only the beginning. Of what nobody has signed, no more is kept',
    }),
  },
  {
    $id: 'InboundDelivery',
    description:
      'An inbound delivery: what came in by webhook. Headers, and with them signatures, are not kept',
    examples: [
      {
        id: 7,
        verdict: 'valid',
        scheme: 'x-webhook-signature',
        outcome: 'failed',
        reason: 'order_not_found',
        detail: 'Order not found',
        new_status: null,
        identity: 'event:evt_0001',
        event_type: 'payment.succeeded',
        order_id: 1,
        unsigned_event_id: null,
        deliveries: 3,
        received_at: '2026-01-02T03:04:05.678Z',
        last_delivered_at: '2026-01-02T03:20:05.678Z',
        request_id: 'BTBf4LRhayFa-2',
        raw_body: '{"event_type":"payment.succeeded","event_id":"evt_0001","order_id":1,"amount":59.98}',
        raw_body_encoding: 'utf-8',
        raw_body_bytes: 84,
        raw_body_truncated: false,
      },
    ],
  },
);

/** An inbound delivery as callers see it; all those of one event are one. */
export type InboundDelivery = Static<typeof InboundDeliverySchema>;

export const inboxSchemas = [VerdictSchema, OutcomeSchema, InboundDeliverySchema];

export const ListInboxQuery = Type.Object(
  {
    outcome: Type.Optional(oneOf(inboundOutcomes, { examples: ['failed'] })),
    verdict: Type.Optional(oneOf(verdicts, { examples: ['valid'] })),
    event_type: Type.Optional({ ...text(1, 100, { 'x-text': 'exact' }), examples: ['payment.succeeded'] }),
    order_id: Type.Optional({ ...Id, examples: [1] }),
    event_id: Type.Optional({
      ...text(1, 255, { 'x-text': 'exact' }),
      description: 'The provider’s id of the event: event_id of the body, or webhook-id',
      examples: ['evt_0001'],
    }),
    received_from: PeriodStart,
    received_to: PeriodEnd,
    ...pageQuery('newest first'),
  },
  { additionalProperties: false },
);

export const listInbox = {
  operationId: 'listInbox',
  summary: 'List what came in by webhook, newest first',
  description:
    'Accepted events stay for ever. What failed is kept for 30 days, what was refused for 7, and only so many of each.',
  tags,
  querystring: ListInboxQuery,
  response: page(InboundDeliverySchema, '/webhooks/inbox'),
  problems: [422, 503],
} satisfies FastifySchema;

export const getInboundDelivery = {
  operationId: 'getInboundDelivery',
  summary: 'Read an inbound delivery with its whole body',
  tags,
  params: IdParams,
  querystring: NoQuery,
  response: { 200: ref(InboundDeliverySchema) },
  problems: ['inbound_delivery_not_found', 422, 503],
} satisfies FastifySchema;

export const replayInboundDelivery = {
  operationId: 'replayInboundDelivery',
  summary: 'Apply an inbound delivery that failed once more',
  description:
    'The kept bytes go the way of a webhook: parsed, checked, applied exactly once, also when the provider sends them ' +
    'again at the same moment. Answers like the webhook; 404 and 422 also when that is why it fails again.',
  tags,
  params: IdParams,
  querystring: NoQuery,
  response: { 200: ref(PaymentWebhookResult) },
  problems: [400, 'inbound_delivery_not_found', 'order_not_found', 'inbound_delivery_not_failed', 422, 503],
} satisfies FastifySchema;
