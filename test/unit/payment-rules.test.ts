import { describe, expect, test } from 'vitest';

import { orderStatuses } from '../../src/orders/order-state.ts';
import { decidePayment, isPaymentEventType, paymentEventTypes } from '../../src/payments/payment-rules.ts';

const totalCents = 5998;
const AMOUNTS = { none: undefined, whole: 5998, less: 5997, more: 5999, nothing: 0 };
type Amount = keyof typeof AMOUNTS;

/** Section 5 of the contract as a table: what an amount that covers the total does, and one that does not. */
const EXPECTED: Record<string, [covered: string, otherwise: string]> = {
  'payment.succeeded PENDING': ['PAID', 'amount_mismatch'],
  'payment.succeeded PAID': ['already_paid', 'already_paid'],
  'payment.succeeded SHIPPED': ['already_paid', 'already_paid'],
  'payment.succeeded CANCELED': ['order_canceled', 'order_canceled'],
  'payment.failed PENDING': ['CANCELED', 'CANCELED'],
  'payment.failed PAID': ['ignored', 'ignored'],
  'payment.failed SHIPPED': ['ignored', 'ignored'],
  'payment.failed CANCELED': ['ignored', 'ignored'],
  'payment.refunded PENDING': ['refund_before_payment', 'partial_refund'],
  'payment.refunded PAID': ['CANCELED', 'partial_refund'],
  'payment.refunded SHIPPED': ['order_shipped', 'order_shipped'],
  'payment.refunded CANCELED': ['order_canceled', 'order_canceled'],
};

const cases = paymentEventTypes.flatMap((type) =>
  orderStatuses.flatMap((status) =>
    (Object.keys(AMOUNTS) as Amount[]).map((amount) => ({ type, status, amount })),
  ),
);

describe('3 events × 4 states × 5 amounts: 60 decisions', () => {
  test.each(cases)('$type on $status with $amount of the total', ({ type, status, amount }) => {
    const decision = decidePayment(type, status, { amountCents: AMOUNTS[amount], totalCents });
    const covered = amount === 'none' || amount === 'whole';
    const expected = EXPECTED[`${type} ${status}`]?.[covered ? 0 : 1];
    const told =
      decision.outcome === 'processed'
        ? decision.to
        : decision.outcome === 'review'
          ? decision.reason
          : decision.outcome;
    expect(told).toBe(expected);
  });
});

test('an event that is ignored says why, for each of the 3 states', () => {
  const reasons = (['PAID', 'SHIPPED', 'CANCELED'] as const).map((status) =>
    decidePayment('payment.failed', status, { amountCents: undefined, totalCents }),
  );
  expect(reasons).toEqual([
    { outcome: 'ignored', reason: 'The order is paid already' },
    { outcome: 'ignored', reason: 'The order is shipped already' },
    { outcome: 'ignored', reason: 'The order is canceled already' },
  ]);
});

test('three types of events are known, and names that every object has are not among them', () => {
  expect(paymentEventTypes.map(isPaymentEventType)).toEqual([true, true, true]);
  const others = ['payment.created', 'PAYMENT.SUCCEEDED', 'toString', '__proto__', ''];
  expect(others.filter(isPaymentEventType)).toEqual([]);
});
