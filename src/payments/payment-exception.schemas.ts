import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { page } from '../http/answers.ts';
import {
  PeriodStart,
  Id,
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  IfNoneMatchHeaders,
  NoQuery,
  nullable,
  oneOf,
  pageQuery,
  ref,
  text,
  Timestamp,
  PeriodEnd,
} from '../http/schemas.ts';
import { exceptionStatuses, type Resolution, resolutions } from './payment-exception.ts';
import { type ReviewReason, reviewReasons } from './payment-rules.ts';

const tags = ['Payments'];

// Object.keys loses the types of tables that are closed.
const reasons = Object.keys(reviewReasons) as ReviewReason[];
export const ReviewReasonSchema = oneOf(reasons, {
  $id: 'ReviewReason',
  description: reasons.map((reason) => `${reason}: ${reviewReasons[reason]}`).join('; '),
});
const resolutionNames = Object.keys(resolutions) as Resolution[];
export const ResolutionSchema = oneOf(resolutionNames, {
  $id: 'PaymentResolution',
  description: resolutionNames.map((name) => `${name}: ${resolutions[name]}`).join('; '),
});
export const ExceptionResolutionSchema = oneOf([...resolutionNames, 'settled'], {
  $id: 'PaymentExceptionResolution',
  description: `${String(ResolutionSchema.description)}; settled: the sums of the order agree again, by themselves`,
});
export const ExceptionStatusSchema = oneOf(exceptionStatuses, { $id: 'PaymentExceptionStatus' });

export const PaymentExceptionSchema = Type.Object(
  {
    id: Id,
    payment_event_id: nullable(Id, {
      description:
        'Its inbound delivery is at /webhooks/inbox/{payment_event_id}; null when a person’s call opened it',
    }),
    order_id: Id,
    reason: ref(ReviewReasonSchema),
    detail: Type.String({ description: 'The reason as a sentence' }),
    amount: nullable(Type.Number(), { description: 'Null when the event named none' }),
    status: ref(ExceptionStatusSchema),
    resolution: nullable(ref(ExceptionResolutionSchema)),
    note: nullable(Type.String()),
    resolved_by: nullable(Type.String()),
    resolved_at: nullable(Timestamp),
    version: Type.Integer({ description: 'The ETag' }),
    created_at: Timestamp,
  },
  {
    $id: 'PaymentException',
    examples: [
      {
        id: 1,
        payment_event_id: 7,
        order_id: 1,
        reason: 'overpaid',
        detail: reviewReasons.overpaid,
        amount: 59.9,
        status: 'RESOLVED',
        resolution: 'refunded',
        note: 'Sent back by bank transfer, reference 4711',
        resolved_by: 'anonymous',
        resolved_at: '2026-01-02T08:00:00.000Z',
        version: 2,
        created_at: '2026-01-02T03:04:05.678Z',
      },
    ],
  },
);

/** Money that bought nothing, or not what it should have, as callers see it. */
export type PaymentException = Static<typeof PaymentExceptionSchema>;

const Note = text(1, 2000, {
  'x-text': 'visible',
  description: 'What happened, for a later reader; required with other',
});

export const ResolveExceptionBody = Type.Object(
  {
    resolution: ref(ResolutionSchema),
    note: Type.Optional(Note),
  },
  {
    $id: 'ResolveException',
    additionalProperties: false,
    if: { properties: { resolution: { const: 'other' } }, required: ['resolution'] },
    then: { properties: { note: Note }, required: ['note'] },
    examples: [{ resolution: 'refunded', note: 'Sent back by bank transfer, reference 4711' }],
  },
);

export const paymentExceptionSchemas = [
  ExceptionStatusSchema,
  ReviewReasonSchema,
  ResolutionSchema,
  ExceptionResolutionSchema,
  PaymentExceptionSchema,
  ResolveExceptionBody,
];

export const ListExceptionsQuery = Type.Object(
  {
    status: Type.Optional(oneOf(exceptionStatuses, { examples: ['OPEN'] })),
    reason: Type.Optional(oneOf(reasons, { examples: ['already_paid'] })),
    order_id: Type.Optional({ ...Id, examples: [1] }),
    created_from: PeriodStart,
    created_to: PeriodEnd,
    ...pageQuery('oldest first'),
  },
  { additionalProperties: false },
);

export const listPaymentExceptions = {
  operationId: 'listPaymentExceptions',
  summary: 'List payment exceptions, oldest first',
  description:
    'Money that bought nothing, until a person says what became of it. `?status=OPEN` is what waits.',
  tags,
  querystring: ListExceptionsQuery,
  response: page(PaymentExceptionSchema, '/payments/exceptions'),
  problems: [422, 503],
} satisfies FastifySchema;

export const getPaymentException = {
  operationId: 'getPaymentException',
  summary: 'Read a payment exception',
  tags,
  params: IdParams,
  headers: IfNoneMatchHeaders,
  querystring: NoQuery,
  response: { 200: ref(PaymentExceptionSchema) },
  problems: ['exception_not_found', 422, 503],
} satisfies FastifySchema;

export const resolvePaymentException = {
  operationId: 'resolvePaymentException',
  summary: 'Say what became of the money of an exception',
  description:
    'A record of what a person did: it moves neither money nor the order. Once only; a second call gets 409 ' +
    'with `current`. Send an Idempotency-Key to be able to repeat the call. A refund that is kept for its payment no ' +
    'longer takes effect once it is resolved.',
  tags,
  params: IdParams,
  headers: Type.Object({ ...IdempotencyHeaders.properties, ...IfMatchHeaders.properties }),
  querystring: NoQuery,
  body: ref(ResolveExceptionBody),
  response: { 200: ref(PaymentExceptionSchema) },
  problems: [
    400,
    'exception_not_found',
    'exception_already_resolved',
    'idempotency_key_reused',
    'idempotency_key_in_progress',
    'version_mismatch',
    413,
    415,
    422,
    503,
  ],
} satisfies FastifySchema;
