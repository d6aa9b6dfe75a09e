import { describe, expect, test } from 'vitest';

import {
  decidePayment,
  isPaymentEventType,
  payableStates,
  paymentEventTypes,
} from '../../src/payments/payment-rules.ts';

const totalCents = 5998;
const AMOUNTS = { none: undefined, whole: 5998, less: 5997, more: 5999, nothing: 0 };
type Amount = keyof typeof AMOUNTS;

/** Section 5 of the contract as a table: what an amount that covers the total does, and one that does not. */
const EXPECTED: Record<string, [covered: string, otherwise: string]> = {
  'payment.succeeded PENDING': ['PAID', 'amount_mismatch'],
  'payment.succeeded PAID': ['already_paid', 'already_paid'],
  'payment.succeeded SHIPPED': ['already_paid', 'already_paid'],
  'payment.succeeded CANCELED': ['order_canceled', 'order_canceled'],
  'payment.succeeded EXPIRED': ['order_expired', 'order_expired'],
  'payment.failed PENDING': ['CANCELED', 'CANCELED'],
  'payment.failed PAID': ['ignored', 'ignored'],
  'payment.failed SHIPPED': ['ignored', 'ignored'],
  'payment.failed CANCELED': ['ignored', 'ignored'],
  'payment.failed EXPIRED': ['ignored', 'ignored'],
  'payment.refunded PENDING': ['refund_before_payment', 'partial_refund'],
  'payment.refunded PAID': ['CANCELED', 'partial_refund'],
  'payment.refunded SHIPPED': ['order_shipped', 'order_shipped'],
  'payment.refunded CANCELED': ['order_canceled', 'order_canceled'],
  'payment.refunded EXPIRED': ['order_expired', 'order_expired'],
};

const cases = paymentEventTypes.flatMap((type) =>
  payableStates.flatMap((state) =>
    (Object.keys(AMOUNTS) as Amount[]).map((amount) => ({ type, state, amount })),
  ),
);

describe('3 events × 5 states × 5 amounts: 75 decisions', () => {
  test.each(cases)('$type on $state with $amount of the total', ({ type, state, amount }) => {
    const decision = decidePayment(type, state, { amountCents: AMOUNTS[amount], totalCents });
    const covered = amount === 'none' || amount === 'whole';
    const expected = EXPECTED[`${type} ${state}`]?.[covered ? 0 : 1];
    const told =
      decision.outcome === 'processed'
        ? decision.to
        : decision.outcome === 'review'
          ? decision.reason
          : decision.outcome;
    expect(told).toBe(expected);
  });
});

test('an event that is ignored says why, for each of the 4 states', () => {
  const reasons = (['PAID', 'SHIPPED', 'CANCELED', 'EXPIRED'] as const).map((status) =>
    decidePayment('payment.failed', status, { amountCents: undefined, totalCents }),
  );
  expect(reasons).toEqual([
    { outcome: 'ignored', reason: 'The order is paid already' },
    { outcome: 'ignored', reason: 'The order is shipped already' },
    { outcome: 'ignored', reason: 'The order is canceled already' },
    { outcome: 'ignored', reason: 'The order has expired already' },
  ]);
});

test('three types of events are known, and names that every object has are not among them', () => {
  expect(paymentEventTypes.map(isPaymentEventType)).toEqual([true, true, true]);
  const others = ['payment.created', 'PAYMENT.SUCCEEDED', 'toString', '__proto__', ''];
  expect(others.filter(isPaymentEventType)).toEqual([]);
});
