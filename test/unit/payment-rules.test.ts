import { describe, expect, test } from 'vitest';

import { heldCents, type OrderMoney } from '../../src/orders/order-money.ts';
import type { OrderStatus } from '../../src/orders/order-state.ts';
import {
  decideByHand,
  decidePayment,
  isPaymentEventType,
  type MoneyDecision,
  notice,
  paymentEventTypes,
} from '../../src/payments/payment-rules.ts';

const T = 100;
const EXPIRED = 'EXPIRED' as const;
type State = OrderStatus | typeof EXPIRED;

/** An order of 100 for which so much was captured and refunded, and that a person has set PAID, or not. */
function order(state: State, came: number, back: number, more: Partial<OrderMoney> = {}) {
  const money = { totalCents: T, paidCents: came, refundedCents: back, paidByHand: false, acceptedCents: 0 };
  const hasExpired = state === EXPIRED;
  return { status: hasExpired ? ('CANCELED' as const) : state, hasExpired, money: { ...money, ...more } };
}

/** What a decision says, in words: outcome, steps, and whether open exceptions settle. */
function words({ outcome, review, steps, settles }: MoneyDecision): string {
  return [outcome, ...(review === null ? [] : [review]), ...steps, ...(settles ? ['settles'] : [])].join(' ');
}

const byHand = { paidByHand: true };

/** [state, captured, refunded, amount of the event, what it does]: each sentence of the contract's table. */
type Row = [State, number, number, number | undefined, string, Partial<OrderMoney>?];
const SUCCEEDED: Row[] = [
  ['PENDING', 0, 0, 100, 'processed PAID'],
  ['PENDING', 0, 0, undefined, 'processed PAID'],
  ['PENDING', 0, 0, 101, 'review overpaid PAID'],
  ['PENDING', 0, 0, 99, 'review underpaid'],
  ['PENDING', 50, 0, 50, 'processed PAID settles'],
  ['PENDING', 50, 0, undefined, 'processed PAID settles'],
  ['PENDING', 50, 0, 51, 'review overpaid PAID'],
  ['PENDING', 0, 100, 100, 'processed PAID CANCELED settles'],
  ['PENDING', 0, 100, undefined, 'processed PAID CANCELED settles'],
  ['PENDING', 0, 200, 100, 'processed PAID CANCELED'],
  ['PENDING', 0, 30, 100, 'review underpaid'],
  ['PENDING', 50, 50, undefined, 'processed PAID'],
  ['PAID', 100, 0, 1, 'review already_paid'],
  ['PAID', 100, 0, undefined, 'review already_paid'],
  ['PAID', 0, 0, 100, 'processed', byHand],
  ['PAID', 0, 0, undefined, 'processed', byHand],
  ['PAID', 0, 0, 101, 'review already_paid', byHand],
  ['PAID', 50, 0, undefined, 'processed', byHand],
  ['PAID', 100, 40, 40, 'processed settles'],
  ['PAID', 100, 40, undefined, 'processed settles'],
  ['PAID', 100, 40, 10, 'processed'],
  ['PAID', 100, 40, 41, 'review already_paid'],
  ['SHIPPED', 100, 0, 100, 'review already_paid'],
  ['SHIPPED', 0, 0, 100, 'processed', byHand],
  ['SHIPPED', 100, 100, 100, 'processed settles'],
  ['CANCELED', 0, 0, 100, 'review order_canceled'],
  ['CANCELED', 100, 0, 100, 'review order_canceled'],
  ['CANCELED', 0, 100, 100, 'processed settles'],
  ['CANCELED', 0, 100, 50, 'review order_canceled'],
  ['EXPIRED', 0, 0, 100, 'review order_expired'],
  ['EXPIRED', 0, 0, undefined, 'review order_expired'],
];
const REFUNDED: Row[] = [
  ['PENDING', 50, 0, 50, 'processed settles'],
  ['PENDING', 50, 0, 20, 'processed'],
  ['PENDING', 0, 0, 100, 'review refund_before_payment'],
  ['PENDING', 0, 0, undefined, 'review refund_before_payment'],
  ['PENDING', 0, 0, 1, 'review refund_before_payment'],
  ['PENDING', 50, 0, 51, 'review refund_before_payment'],
  ['PAID', 200, 0, 100, 'processed settles'],
  ['PAID', 200, 0, 99, 'processed'],
  ['PAID', 100, 0, 1, 'review partial_refund'],
  ['PAID', 100, 0, 99, 'review partial_refund'],
  ['PAID', 100, 0, 100, 'processed CANCELED'],
  ['PAID', 100, 0, undefined, 'processed CANCELED'],
  ['PAID', 100, 40, 60, 'processed CANCELED settles'],
  ['PAID', 100, 40, undefined, 'processed CANCELED settles'],
  ['PAID', 0, 0, 100, 'processed CANCELED', byHand],
  ['PAID', 100, 0, 100, 'processed CANCELED', byHand],
  ['PAID', 100, 0, 101, 'review refund_exceeds_payments CANCELED'],
  ['SHIPPED', 200, 0, 100, 'processed settles'],
  ['SHIPPED', 100, 0, 1, 'review order_shipped'],
  ['SHIPPED', 100, 0, 100, 'review order_shipped'],
  ['SHIPPED', 0, 0, 100, 'review order_shipped', byHand],
  ['CANCELED', 100, 0, 100, 'processed settles'],
  ['CANCELED', 100, 0, 40, 'processed'],
  ['CANCELED', 100, 0, undefined, 'processed settles'],
  ['CANCELED', 0, 0, 100, 'review refund_exceeds_payments'],
  ['CANCELED', 100, 0, 101, 'review refund_exceeds_payments'],
  ['EXPIRED', 100, 0, 100, 'processed settles'],
  ['EXPIRED', 0, 0, 100, 'review refund_exceeds_payments'],
];
const FAILED: Row[] = [
  ['PENDING', 0, 0, undefined, 'processed CANCELED'],
  ['PENDING', 50, 0, 50, 'processed CANCELED'],
  ['PAID', 100, 0, undefined, 'ignored'],
  ['SHIPPED', 100, 0, undefined, 'ignored'],
  ['CANCELED', 0, 0, undefined, 'ignored'],
  ['EXPIRED', 0, 0, undefined, 'ignored'],
];

describe.each([
  ['payment.succeeded', SUCCEEDED],
  ['payment.refunded', REFUNDED],
  ['payment.failed', FAILED],
] as const)('%s', (type, rows) => {
  test.each(rows)(
    'on %s with %i captured and %i refunded, of %s: %s',
    (state, came, back, amountCents, expected, more) => {
      const decision = decidePayment(order(state, came, back, more), { type, amountCents });
      expect(words(decision)).toBe(expected);
    },
  );
});

/** The event on a canceled order for which 30 are held. */
const entryOf = (type: 'payment.succeeded' | 'payment.refunded', amountCents: number | undefined) =>
  decidePayment(order('CANCELED', 30, 0), { type, amountCents });

test('an event counts its amount once, as captured or refunded, also where it is a review', () => {
  expect(entryOf('payment.succeeded', 5)).toMatchObject({
    entry: { kind: 'captured', amountCents: 5 },
    money: { paidCents: 35, refundedCents: 0 },
  });
  expect(entryOf('payment.refunded', 5)).toMatchObject({
    entry: { kind: 'refunded', amountCents: 5 },
    money: { paidCents: 30, refundedCents: 5 },
  });
  // Without an amount: the rest of a payment, all that is held of a refund.
  expect(entryOf('payment.succeeded', undefined).entry?.amountCents).toBe(70);
  expect(entryOf('payment.refunded', undefined).entry?.amountCents).toBe(30);
});

test('a failed payment keeps the order where the shop has it so, and says why it is ignored', () => {
  const failed = { type: 'payment.failed', amountCents: undefined } as const;
  const states: State[] = ['PENDING', 'PAID', 'SHIPPED', 'CANCELED', EXPIRED];
  expect(states.map((state) => decidePayment(order(state, 0, 0), failed, 'keep').reason)).toEqual([
    'The order waits for another try of its payment',
    'The order is paid already',
    'The order is shipped already',
    'The order is canceled already',
    'The order has expired already',
  ]);
});

test('a dispute, another currency and a changed copy are reviews that count no money', () => {
  const paid = order('PAID', 100, 0);
  const disputed = decidePayment(paid, { type: 'payment.disputed', amountCents: 100 });
  expect([disputed, notice(paid, 'currency_mismatch'), notice(paid, 'event_changed')]).toMatchObject(
    ['disputed', 'currency_mismatch', 'event_changed'].map((review) => ({
      outcome: 'review',
      review,
      entry: null,
      steps: [],
      money: paid.money,
    })),
  );
});

test.each([
  [0, 0, 'processed PAID'],
  [50, 0, 'processed PAID settles'],
  [0, 30, 'processed PAID'],
  [30, 30, 'review partial_refund PAID'],
  [0, 100, 'processed PAID CANCELED settles'],
  [0, 101, 'processed PAID CANCELED'],
])('set PAID by hand with %i captured and %i refunded: %s', (came, back, expected) => {
  const decision = decideByHand(order('PENDING', came, back));
  expect(words(decision)).toBe(expected);
  expect(decision.money.paidByHand).toBe(true);
});

test('what a person has accepted stands for that difference alone', () => {
  const accepted = order('PAID', 150, 0, { acceptedCents: 50 });
  const more = decidePayment(accepted, { type: 'payment.succeeded', amountCents: 10 });
  expect(words(more)).toBe('review already_paid');
  expect(more.money.acceptedCents).toBe(0);
  const less = decidePayment(accepted, { type: 'payment.refunded', amountCents: 10 });
  expect(words(less)).toBe('review overpaid');
  const none = decidePayment(accepted, { type: 'payment.refunded', amountCents: 50 });
  // Nothing was open.
  expect([words(none), none.money.acceptedCents]).toEqual(['processed', 0]);
  // The same figure of another target is another difference.
  const pending = order('PENDING', 50, 0, { acceptedCents: 50 });
  expect(words(decidePayment(pending, { type: 'payment.succeeded', amountCents: 100 }))).toBe(
    'review overpaid PAID',
  );
  const short = order('PENDING', 50, 0, { acceptedCents: 50 });
  expect(words(decidePayment(short, { type: 'payment.refunded', amountCents: 10 }))).toBe('review underpaid');
  const byHandShort = order('PAID', 0, 30, { ...byHand, acceptedCents: -30 });
  const itsPayment = decidePayment(byHandShort, { type: 'payment.succeeded', amountCents: 100 });
  expect([words(itsPayment), itsPayment.money.acceptedCents]).toEqual(['processed', -30]);
});

test('R is max(C, A) − F', () => {
  expect(heldCents(order('PAID', 60, 10, byHand).money)).toBe(90);
  expect(heldCents(order('PAID', 160, 10, byHand).money)).toBe(150);
  expect(heldCents(order('PAID', 60, 10).money)).toBe(50);
});

test('four types of events are known, and names that every object has are not among them', () => {
  expect(paymentEventTypes.map(isPaymentEventType)).toEqual([true, true, true, true]);
  const others = ['payment.created', 'PAYMENT.SUCCEEDED', 'toString', '__proto__', ''];
  expect(others.filter(isPaymentEventType)).toEqual([]);
});
