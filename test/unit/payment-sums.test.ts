import { expect, test } from 'vitest';

import { heldCents, isRefundDue, moneyAfter } from '../../src/orders/order-money.ts';
import { transitionEffect } from '../../src/orders/order-state.ts';
import {
  decideByHand,
  decidePayment,
  type MoneyDecision,
  type PaidOrder,
  settlingReasons,
} from '../../src/payments/payment-rules.ts';
import {
  type Account,
  type Act,
  act,
  explore,
  held,
  isRefundDue as isDue,
  newAccount,
  shouldHold,
} from '../support/money-oracle.ts';

/** Four pieces at 10.00. */
const TOTAL = 4000;

/** Events of a provider, and what people do. Amounts that meet: a half, the whole, one cent too many, and none named. */
const ACTS: readonly Act[] = [
  { name: 'paid', kind: 'captured', cents: TOTAL },
  { name: 'paid half', kind: 'captured', cents: TOTAL / 2 },
  { name: 'paid too much', kind: 'captured', cents: TOTAL + 1 },
  { name: 'paid, no amount', kind: 'captured' },
  { name: 'failed', kind: 'failed' },
  { name: 'all back', kind: 'refunded', cents: TOTAL },
  { name: 'half back', kind: 'refunded', cents: TOTAL / 2 },
  { name: 'back, no amount', kind: 'refunded' },
  { name: 'half recorded', kind: 'record', cents: TOTAL / 2 },
  { name: 'half given back', kind: 'give back', cents: TOTAL / 2 },
  { name: 'paid by hand', kind: 'pay' },
  { name: 'shipped', kind: 'ship' },
  { name: 'canceled', kind: 'cancel' },
  { name: 'expired', kind: 'expire' },
];

/** An order as the rules have it, and whether an exception of sums is open. */
type Ruled = PaidOrder & { isOpen: boolean };

const START: Ruled = {
  status: 'PENDING',
  hasExpired: false,
  money: { totalCents: TOTAL, paidCents: 0, refundedCents: 0, paidByHand: false, acceptedCents: 0 },
  isOpen: false,
};

const STEPS = { ship: 'SHIPPED', cancel: 'CANCELED', pay: 'PAID', expire: 'expire' } as const;

/** What the rules make of an act, in the words of the oracle. */
function rule(before: Ruled, { kind, cents }: Act): { after: Ruled; said: string } {
  if (kind === 'ship' || kind === 'cancel' || kind === 'pay' || kind === 'expire') {
    const effect = transitionEffect(before.status, STEPS[kind]);
    if (effect === undefined) return { after: before, said: 'refused' };
    if (kind === 'pay') return follow(before, decideByHand(before));
    const money = moneyAfter(before, effect.to, before.money);
    return {
      after: { ...before, status: effect.to, hasExpired: kind === 'expire', money },
      said: 'processed',
    };
  }
  // The service refuses it before it asks the rules.
  if (kind === 'give back' && (cents ?? 0) > heldCents(before.money))
    return { after: before, said: 'refused' };
  const type = (
    {
      captured: 'succeeded',
      record: 'succeeded',
      failed: 'failed',
      refunded: 'refunded',
      'give back': 'refunded',
    } as const
  )[kind];
  return follow(before, decidePayment(before, { type: `payment.${type}`, amountCents: cents }));
}

function follow(before: Ruled, { steps, money, review, settles, outcome }: MoneyDecision) {
  const opens = review !== null && settlingReasons.some((reason) => reason === review);
  const after = {
    ...before,
    status: steps.at(-1) ?? before.status,
    money,
    isOpen: opens || (before.isOpen && !settles),
  };
  return { after, said: review ?? outcome };
}

function isSame({ status, hasExpired, money, isOpen }: Ruled, account: Account): boolean {
  return (
    status === account.status &&
    hasExpired === account.hasExpired &&
    money.paidCents === account.came &&
    money.refundedCents === account.wentBack &&
    money.paidByHand === account.isPaidByHand &&
    isOpen === account.isOpen &&
    isRefundDue(status, money) === isDue(account)
  );
}

test('every sequence of up to 7 of 14 acts of payment, in every order: what the rules do is what the sums say', () => {
  const wrong: string[] = [];
  const start = { ruled: START, account: newAccount(TOTAL) };
  const states = explore(ACTS, 7, start, ({ ruled, account: before }, each, path) => {
    const { after, said } = rule(ruled, each);
    const { account, said: told } = act(before, each);
    if (said !== told || !isSame(after, account)) {
      wrong.push(
        `${path.join(', ')}: ${said} ${JSON.stringify(after)}, not ${told} ${JSON.stringify(account)}`,
      );
    }
    // The sums agree, or an exception or a due refund says that they do not.
    const agrees = held(account) === shouldHold(account);
    if (agrees === (account.isOpen || isDue(account))) {
      wrong.push(`${path.join(', ')}: ${agrees ? 'something is open' : 'nothing says that the sums differ'}`);
    }
    return { ruled: after, account };
  });
  expect(wrong.slice(0, 10)).toEqual([]);
  expect(states).toBeGreaterThan(1000);
});

test('PAYMENT_FAILED=keep: a failure moves nothing, whatever came before', () => {
  const moved: string[] = [];
  explore(ACTS, 4, START, (before, each, path) => {
    const event = { type: 'payment.failed', amountCents: undefined } as const;
    const { steps, entry, money, outcome } = decidePayment(before, event, 'keep');
    const isKept = steps.length === 0 && entry === null && money === before.money && outcome === 'ignored';
    if (!isKept) moved.push(path.join(', '));
    return rule(before, each).after;
  });
  expect(moved).toEqual([]);
});
