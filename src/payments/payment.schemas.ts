import { type Static, Type } from '@sinclair/typebox';

import { Id, nullable, oneOf, ref, Timestamp } from '../http/schemas.ts';

export const paymentKinds = ['captured', 'refunded'] as const;
export type PaymentKind = (typeof paymentKinds)[number];

export const PaymentKindSchema = oneOf(paymentKinds, {
  $id: 'PaymentKind',
  description: 'captured: money came; refunded: money went back',
});

export const paymentExample = {
  id: 1,
  order_id: 1,
  kind: 'captured',
  amount: 59.98,
  paid_after: 59.98,
  refunded_after: 0,
  provider: 'generic',
  provider_payment_id: null,
  payment_event_id: 7,
  method: 'card',
  note: null,
  actor: 'payment-provider',
  request_id: 'BTBf4LRhayFa-2',
  created_at: '2026-01-02T03:04:05.678Z',
};

export const PaymentSchema = Type.Object(
  {
    id: Id,
    order_id: Id,
    kind: ref(PaymentKindSchema),
    amount: Type.Number(),
    paid_after: Type.Number({ description: 'All that was captured for the order, this row included' }),
    refunded_after: Type.Number({ description: 'All that went back, this row included' }),
    provider: Type.String({ description: '`manual` when a person recorded it' }),
    provider_payment_id: nullable(Type.String(), { description: 'What the provider calls the payment' }),
    payment_event_id: nullable(Id, {
      description: 'The event that brought it, at /webhooks/inbox/{payment_event_id}',
    }),
    method: nullable(Type.String()),
    note: nullable(Type.String()),
    actor: Type.String(),
    request_id: nullable(Type.String()),
    created_at: { ...Timestamp, description: 'When its transaction began' },
  },
  { $id: 'Payment', examples: [paymentExample] },
);

/** A row of the ledger of money, as callers see it. */
export type Payment = Static<typeof PaymentSchema>;

export const paymentSchemas = [PaymentKindSchema, PaymentSchema];
