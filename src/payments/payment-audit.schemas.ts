import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { Id, NoQuery, ref, Timestamp } from '../http/schemas.ts';

const tags = ['Payments'];

const Compared = Type.Object({ stored: Type.Number(), ledger: Type.Number() });

export const PaymentDriftSchema = Type.Object(
  {
    order_id: Id,
    amount_paid: Compared,
    amount_refunded: Compared,
    held: Type.Number({ description: 'What the shop holds for the order, by the ledger' }),
    due: Type.Number({ description: 'What it should hold: the total of a PAID or SHIPPED order, else 0' }),
    accepted: Type.Number({ description: 'The difference that a person has accepted' }),
    refund_due: Type.Boolean(),
    open_exceptions: Type.Integer({ description: 'Those about sums' }),
    drift_cents: Type.Integer({ description: 'The differences that nothing says, counted up' }),
  },
  { $id: 'PaymentDrift' },
);

const addsUp = {
  checked_at: '2026-01-02T03:04:05.678Z',
  orders: 12,
  drift_cents: 0,
  drifting_orders: 0,
  drifts: [],
};

export const PaymentsAuditSchema = Type.Object(
  {
    checked_at: Timestamp,
    orders: Type.Integer({ description: 'How many were checked' }),
    drift_cents: Type.Integer({ description: 'Over all orders; 0 when everything adds up' }),
    drifting_orders: Type.Integer(),
    drifts: Type.Array(ref(PaymentDriftSchema), {
      description: 'The 1,000 largest; empty when everything adds up',
    }),
  },
  {
    $id: 'PaymentsAudit',
    'x-example-names': ['adds_up', 'drift'],
    examples: [
      addsUp,
      {
        ...addsUp,
        drift_cents: 5998,
        drifting_orders: 1,
        drifts: [
          {
            order_id: 1,
            amount_paid: { stored: 59.98, ledger: 59.98 },
            amount_refunded: { stored: 0, ledger: 0 },
            held: 59.98,
            due: 0,
            accepted: 0,
            refund_due: false,
            open_exceptions: 0,
            drift_cents: 5998,
          },
        ],
      },
    ],
  },
);
/** The money of every order at one moment. */
export type PaymentsAudit = Static<typeof PaymentsAuditSchema>;

export const paymentAuditSchemas = [PaymentDriftSchema, PaymentsAuditSchema];

export const auditPayments = {
  operationId: 'auditPayments',
  summary: 'Hold the money of every order against the ledger',
  description:
    'Recomputes what was captured and refunded for each order from its payments, and what the shop holds against what it ' +
    'should hold, in one consistent snapshot, while payments run. A difference that an open exception or a due refund ' +
    'says, or that a person has accepted, is no drift. Callers who ask at the same time share one run. 503 when it takes ' +
    'longer than 6 s; it then goes on, for up to 30 s, and its outcome is in the metric `payments_drift_cents`, which is ' +
    'also refreshed every five minutes.',
  tags,
  querystring: NoQuery,
  response: { 200: ref(PaymentsAuditSchema) },
  problems: [422, 503],
} satisfies FastifySchema;
