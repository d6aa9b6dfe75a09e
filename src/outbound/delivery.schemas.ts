import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { page } from '../http/answers.ts';
import {
  Id,
  IdempotencyHeaders,
  IdParams,
  NoQuery,
  nullable,
  oneOf,
  pageQuery,
  ref,
  Timestamp,
} from '../http/schemas.ts';

const tags = ['Webhook endpoints'];

export const deliveryStatuses = ['pending', 'delivered', 'dead'] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

const AttemptSchema = Type.Object({
  at: Timestamp,
  status: nullable(Type.Integer(), { description: 'Of the answer; null without one' }),
  duration_ms: Type.Integer(),
  error: nullable(Type.String(), { description: 'Why it failed' }),
  response: nullable(Type.String(), { description: 'The first 1 KiB of the body of the answer' }),
});

export const DeliverySchema = Type.Object(
  {
    id: Id,
    endpoint_id: Id,
    event_id: Type.String({ description: 'The webhook-id of every try' }),
    event_type: Type.String(),
    aggregate_type: Type.String(),
    aggregate_id: Id,
    status: oneOf(deliveryStatuses, {
      description: 'dead: given up; it is sent again only when a person asks for it',
    }),
    next_attempt_at: nullable(Timestamp, {
      description: 'Of a pending one: not before this time. While a try is under way, the end of its lease',
    }),
    attempts: Type.Array(AttemptSchema, { description: 'The latest 15, oldest first' }),
    created_at: Timestamp,
    settled_at: nullable(Timestamp),
  },
  {
    $id: 'WebhookDelivery',
    examples: [
      {
        id: 1,
        endpoint_id: 1,
        event_id: 'MS4xMDQyLjMxNw',
        event_type: 'order.paid',
        aggregate_type: 'order',
        aggregate_id: 1,
        status: 'dead',
        next_attempt_at: null,
        attempts: [
          {
            at: '2026-01-02T03:04:06.000Z',
            status: 404,
            duration_ms: 31,
            error: 'The receiver answered 404',
            response: 'no such hook',
          },
        ],
        created_at: '2026-01-02T03:04:05.678Z',
        settled_at: '2026-01-02T03:04:06.031Z',
      },
    ],
  },
);
export type Delivery = Static<typeof DeliverySchema>;

export const ResendSchema = Type.Object(
  {
    id: Id,
    endpoint_id: nullable(Id),
    from: nullable(Timestamp),
    to: nullable(Timestamp),
    status: oneOf(['running', 'done']),
    resent: Type.Integer({ description: 'Dead letters that are pending again' }),
    version: Type.Integer({ description: 'The ETag' }),
    created_at: Timestamp,
    finished_at: nullable(Timestamp),
  },
  {
    $id: 'DeadLetterResend',
    examples: [
      {
        id: 1,
        endpoint_id: 1,
        from: '2026-01-02T00:00:00.000Z',
        to: null,
        status: 'running',
        resent: 0,
        version: 1,
        created_at: '2026-01-02T08:00:00.000Z',
        finished_at: null,
      },
    ],
  },
);
export type Resend = Static<typeof ResendSchema>;

export const ResendBody = Type.Object(
  {
    endpoint_id: Type.Optional({ ...Id, description: 'Without it, of all endpoints' }),
    from: Type.Optional({ ...Timestamp, description: 'Those that died at this time or later' }),
    to: Type.Optional({ ...Timestamp, description: 'Those that died before this time' }),
  },
  {
    $id: 'ResendDeadLetters',
    additionalProperties: false,
    examples: [{ endpoint_id: 1, from: '2026-01-02T00:00:00.000Z' }],
  },
);

export const deliverySchemas = [DeliverySchema, ResendSchema, ResendBody];

const endpointFilter = { endpoint_id: Type.Optional({ ...Id, examples: [1] }) };

export const listDeliveries = {
  operationId: 'listWebhookDeliveries',
  summary: 'List deliveries, newest first',
  description: 'Each event is one delivery for each endpoint that wants it.',
  tags,
  querystring: Type.Object(
    {
      ...endpointFilter,
      status: Type.Optional(oneOf(deliveryStatuses, { examples: ['pending'] })),
      event_id: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 100,
          pattern: '^[A-Za-z0-9_-]+$',
          examples: ['MS4xMDQyLjMxNw'],
        }),
      ),
      ...pageQuery('newest first'),
    },
    { additionalProperties: false },
  ),
  response: page(DeliverySchema, '/webhook-deliveries'),
  problems: [422, 503],
} satisfies FastifySchema;

export const getDelivery = {
  operationId: 'getWebhookDelivery',
  summary: 'Read a delivery with its tries',
  tags,
  params: IdParams,
  querystring: NoQuery,
  response: { 200: ref(DeliverySchema) },
  problems: ['delivery_not_found', 422, 503],
} satisfies FastifySchema;

export const resendDelivery = {
  operationId: 'resendWebhookDelivery',
  summary: 'Send a delivery again',
  description: 'With the same webhook-id. One that is pending is sent by itself: 409.',
  tags,
  params: IdParams,
  querystring: NoQuery,
  response: { 202: ref(DeliverySchema) },
  problems: [400, 'delivery_not_found', 'delivery_pending', 422, 503],
} satisfies FastifySchema;

export const pingEndpoint = {
  operationId: 'pingWebhookEndpoint',
  summary: 'Send a test event to a webhook endpoint',
  description:
    'An `endpoint.ping`, signed like every event, and tried once. The answer is its delivery: read it again to see what became ' +
    'of it. A paused endpoint gets it when it is enabled again.',
  tags,
  params: IdParams,
  querystring: NoQuery,
  response: { 202: ref(DeliverySchema) },
  problems: [400, 'endpoint_not_found', 'too_many_pings', 422, 503],
} satisfies FastifySchema;

export const listDeadLetters = {
  operationId: 'listDeadLetters',
  summary: 'List dead letters, oldest first',
  description: 'Deliveries that were given up: after the last retry, or because the receiver refused them.',
  tags,
  querystring: Type.Object(
    { ...endpointFilter, ...pageQuery('oldest first') },
    { additionalProperties: false },
  ),
  response: page(DeliverySchema, '/dead-letters'),
  problems: [422, 503],
} satisfies FastifySchema;

export const resendDeadLetters = {
  operationId: 'resendDeadLetters',
  summary: 'Send dead letters again: all, of an endpoint, or of a time',
  description:
    'Takes those that are dead now. The work survives a restart; `/dead-letters/resends/{id}` shows how far it is.',
  tags,
  headers: IdempotencyHeaders,
  querystring: NoQuery,
  body: ref(ResendBody),
  response: { 202: ref(ResendSchema) },
  problems: [
    400,
    'idempotency_key_reused',
    'idempotency_key_in_progress',
    'endpoint_not_found',
    413,
    415,
    422,
    503,
  ],
} satisfies FastifySchema;

export const getResend = {
  operationId: 'getDeadLetterResend',
  summary: 'Read how far a resend of dead letters is',
  tags,
  params: IdParams,
  querystring: NoQuery,
  response: { 200: ref(ResendSchema) },
  problems: ['resend_not_found', 422, 503],
} satisfies FastifySchema;

export type DeliveryFilter = Partial<Record<'endpoint_id', number | undefined>> & {
  status?: DeliveryStatus | undefined;
  event_id?: string | undefined;
};
