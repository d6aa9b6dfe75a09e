import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { page } from '../http/answers.ts';
import {
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  nullable,
  nullableText,
  NoQuery,
  pageQuery,
  PriceInput,
  ref,
  text,
} from '../http/schemas.ts';
import { OrderSchema } from '../orders/order.schemas.ts';
import { ReviewReasonSchema } from './payment-exception.schemas.ts';
import { paymentExample, PaymentKindSchema, PaymentSchema } from './payment.schemas.ts';

const tags = ['Payments'];

export const RecordPaymentBody = Type.Object(
  {
    kind: ref(PaymentKindSchema),
    amount: PriceInput,
    method: Type.Optional(
      nullableText(100, { minLength: 1, 'x-text': 'visible', description: 'cash, bank transfer, …' }),
    ),
    note: text(1, 2000, { 'x-text': 'visible', description: 'For the person who reads it later' }),
  },
  {
    $id: 'RecordPayment',
    additionalProperties: false,
    'x-example-names': ['cash', 'bank_refund'],
    examples: [
      { kind: 'captured', amount: 59.98, method: 'cash', note: 'Paid at the counter' },
      { kind: 'refunded', amount: 20, method: 'bank transfer', note: 'Damaged mug, reference 4711' },
    ],
  },
);

export const RecordedPaymentSchema = Type.Object(
  {
    payment: ref(PaymentSchema),
    order: ref(OrderSchema),
    review: nullable(ref(ReviewReasonSchema), { description: 'The exception that it opened' }),
    version: Type.Integer({ description: 'Of the order; the ETag' }),
  },
  {
    $id: 'RecordedPayment',
    examples: [
      {
        payment: {
          ...paymentExample,
          provider: 'manual',
          payment_event_id: null,
          method: 'cash',
          note: 'Paid at the counter',
          actor: 'anonymous',
        },
        order: {
          ...OrderSchema.examples[0],
          status: 'PAID',
          amount_paid: 59.98,
          version: 2,
        },
        review: null,
        version: 2,
      },
    ],
  },
);
export type RecordedPayment = Static<typeof RecordedPaymentSchema>;

export const orderPaymentSchemas = [RecordPaymentBody, RecordedPaymentSchema];

export const listOrderPayments = {
  operationId: 'listOrderPayments',
  summary: 'List the payments of an order, oldest first',
  description:
    'Every amount that came or went back is one line of this ledger, and no line is ever changed or deleted.',
  tags,
  params: IdParams,
  querystring: Type.Object(pageQuery('oldest first'), { additionalProperties: false }),
  response: page(PaymentSchema, '/orders/1/payments'),
  problems: ['order_not_found', 422, 503],
} satisfies FastifySchema;

export const recordPayment = {
  operationId: 'recordPayment',
  summary: 'Record money that came or went another way',
  description:
    'Cash, a bank transfer, a refund that the provider does not report. The same rules decide as for a webhook: a payment ' +
    'that makes the total pays the order, a refund of all that is held cancels it, and what does not add up is a payment ' +
    'exception. Send an Idempotency-Key to be able to repeat the call.',
  tags,
  params: IdParams,
  headers: Type.Object({ ...IdempotencyHeaders.properties, ...IfMatchHeaders.properties }),
  querystring: NoQuery,
  body: ref(RecordPaymentBody),
  response: { 201: ref(RecordedPaymentSchema) },
  problems: [
    400,
    'order_not_found',
    'refund_exceeds_held',
    'idempotency_key_reused',
    'idempotency_key_in_progress',
    'version_mismatch',
    413,
    415,
    422,
    503,
  ],
} satisfies FastifySchema;
