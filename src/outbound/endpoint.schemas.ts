import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { created, page } from '../http/answers.ts';
import {
  Id,
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  IfNoneMatchHeaders,
  NoQuery,
  nullable,
  nullableText,
  oneOf,
  pageQuery,
  ref,
  Timestamp,
} from '../http/schemas.ts';

const tags = ['Webhook endpoints'];

export const orderings = ['per_aggregate', 'none'] as const;
export const endpointStatuses = ['enabled', 'paused', 'disabled'] as const;

const Url = Type.String({
  minLength: 1,
  maxLength: 2000,
  description: 'https, port 443, a public host; redirects are not followed',
  examples: ['https://shop.example/hooks'],
});
const Types = Type.Array(
  Type.String({
    pattern: '^[a-z_]{1,40}\\.[a-z_]{1,40}$',
    'x-message': 'must be a type of event',
    'x-fix': 'Send a type such as order.paid; the documentation of /events lists them.',
  }),
  { minItems: 1, maxItems: 50, uniqueItems: true, description: 'The types of events that it gets' },
);
const OrderingSchema = oneOf(orderings, {
  description:
    'per_aggregate (the default): of one order or product, the next event is sent when the one before was delivered or ' +
    'given up; others do not wait for it. none: as fast as it goes, in any order',
});
const Description = nullableText(500, { 'x-text': 'visible', minLength: 1 });

const example = {
  id: 1,
  url: 'https://shop.example/hooks',
  description: 'The warehouse',
  types: ['order.paid', 'order.canceled'],
  ordering: 'per_aggregate',
  status: 'enabled',
  failing_since: null,
  previous_secret_until: null,
  version: 1,
  created_at: '2026-01-02T03:04:05.678Z',
  updated_at: '2026-01-02T03:04:05.678Z',
} as const;
const EXAMPLE_SECRET = 'whsec_cGxlYXNlIHVzZSB5b3VyIG93biBzZWNyZXQgaGVyZSE';

const endpointFields = {
  id: Id,
  url: Type.String(),
  description: nullable(Type.String()),
  types: nullable(Type.Array(Type.String()), { description: 'Null: all' }),
  ordering: oneOf(orderings),
  status: oneOf(endpointStatuses, {
    description:
      'paused and disabled: events wait until it is enabled again. The service disables one that answers 410',
  }),
  failing_since: nullable(Timestamp, {
    description:
      'Its deliveries have failed several times in a row since then; null when the last one arrived',
  }),
  previous_secret_until: nullable(Timestamp, {
    description: 'Until then, the secret before the last rotation signs, too',
  }),
  version: Type.Integer({ description: 'The ETag' }),
  created_at: Timestamp,
  updated_at: Timestamp,
};

export const EndpointSchema = Type.Object(endpointFields, { $id: 'WebhookEndpoint', examples: [example] });
export type Endpoint = Static<typeof EndpointSchema>;

/** The one answer that has the secret. */
export const EndpointWithSecretSchema = Type.Object(
  {
    ...endpointFields,
    secret: Type.Optional(
      Type.String({
        description:
          'Shown here and never again; an answer that is repeated for its Idempotency-Key is without it',
      }),
    ),
  },
  { $id: 'WebhookEndpointWithSecret', examples: [{ ...example, secret: EXAMPLE_SECRET }] },
);
export type EndpointWithSecret = Static<typeof EndpointWithSecretSchema>;

/** An endpoint as events show it: the URL may hold a token, so they have its origin only. */
export const EndpointSummarySchema = Type.Object({
  id: Id,
  origin: Type.String(),
  types: nullable(Type.Array(Type.String())),
  ordering: oneOf(orderings),
  status: oneOf(endpointStatuses),
  failing_since: nullable(Timestamp),
  version: Type.Integer(),
});
export type EndpointSummary = Static<typeof EndpointSummarySchema>;

/** Which delivery failed, and why. */
export const DeliverySummarySchema = Type.Object({
  id: Id,
  event_id: Type.String(),
  event_type: Type.String(),
  tries: Type.Integer(),
  status: nullable(Type.Integer(), { description: 'Of the answer; null without one' }),
  error: nullable(Type.String()),
});
export type DeliverySummary = Static<typeof DeliverySummarySchema>;

export const CreateEndpointBody = Type.Object(
  {
    url: Url,
    types: Type.Optional(Types),
    ordering: Type.Optional(OrderingSchema),
    description: Type.Optional(Description),
  },
  {
    $id: 'CreateWebhookEndpoint',
    additionalProperties: false,
    examples: [{ url: example.url, types: example.types, description: example.description }],
  },
);

export const UpdateEndpointBody = Type.Object(
  {
    url: Type.Optional(Url),
    types: Type.Optional(nullable(Types, { description: 'Null: all' })),
    ordering: Type.Optional(OrderingSchema),
    description: Type.Optional(Description),
    status: Type.Optional(
      oneOf(['enabled', 'paused'], { description: 'paused: events wait, and none is lost' }),
    ),
  },
  {
    $id: 'UpdateWebhookEndpoint',
    additionalProperties: false,
    minProperties: 1,
    description: 'Any subset of the fields; the others stay as they are',
    examples: [{ status: 'paused' }],
  },
);

export const endpointSchemas = [
  EndpointSchema,
  EndpointWithSecretSchema,
  CreateEndpointBody,
  UpdateEndpointBody,
];

const keyed = ['idempotency_key_reused', 'idempotency_key_in_progress'] as const;

export const createEndpoint = {
  operationId: 'createWebhookEndpoint',
  summary: 'Create a webhook endpoint',
  description:
    'Events that are written from now on are sent to it, signed as Standard Webhooks says. The answer has the secret, once.',
  tags,
  headers: IdempotencyHeaders,
  querystring: NoQuery,
  body: ref(CreateEndpointBody),
  response: created(EndpointWithSecretSchema, '/webhook-endpoints/1'),
  problems: [400, ...keyed, 'endpoint_limit_reached', 'secrets_key_missing', 413, 415, 422, 503],
} satisfies FastifySchema;

export const listEndpoints = {
  operationId: 'listWebhookEndpoints',
  summary: 'List webhook endpoints, oldest first',
  tags,
  querystring: Type.Object(pageQuery('oldest first'), { additionalProperties: false }),
  response: page(EndpointSchema, '/webhook-endpoints'),
  problems: [422, 503],
} satisfies FastifySchema;

export const getEndpoint = {
  operationId: 'getWebhookEndpoint',
  summary: 'Read a webhook endpoint',
  tags,
  params: IdParams,
  headers: IfNoneMatchHeaders,
  querystring: NoQuery,
  response: { 200: ref(EndpointSchema) },
  problems: ['endpoint_not_found', 422, 503],
} satisfies FastifySchema;

export const updateEndpoint = {
  operationId: 'updateWebhookEndpoint',
  summary: 'Change, pause or enable a webhook endpoint',
  description:
    'A pause loses nothing: what happens meanwhile is delivered once the endpoint is enabled again.',
  tags,
  params: IdParams,
  headers: IfMatchHeaders,
  querystring: NoQuery,
  body: ref(UpdateEndpointBody),
  response: { 200: ref(EndpointSchema) },
  problems: [400, 'endpoint_not_found', 'version_mismatch', 413, 415, 422, 503],
} satisfies FastifySchema;

export const deleteEndpoint = {
  operationId: 'deleteWebhookEndpoint',
  summary: 'Delete a webhook endpoint with its deliveries',
  tags,
  params: IdParams,
  headers: IfMatchHeaders,
  querystring: NoQuery,
  response: { 204: Type.Null({ description: 'Deleted' }) },
  problems: [400, 'endpoint_not_found', 'version_mismatch', 422, 503],
} satisfies FastifySchema;

export const rotateSecret = {
  operationId: 'rotateWebhookSecret',
  summary: 'Give a webhook endpoint a new secret',
  description: 'For 24 hours, deliveries are signed with the new secret and with the one before.',
  tags,
  params: IdParams,
  headers: Type.Object({ ...IdempotencyHeaders.properties, ...IfMatchHeaders.properties }),
  querystring: NoQuery,
  response: { 200: ref(EndpointWithSecretSchema) },
  problems: [400, 'endpoint_not_found', ...keyed, 'secrets_key_missing', 'version_mismatch', 422, 503],
} satisfies FastifySchema;
