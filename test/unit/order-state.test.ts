import { describe, expect, test } from 'vitest';

import {
  allowedTransitions,
  describeTransitions,
  orderStatuses,
  transitionEffect,
} from '../../src/orders/order-state.ts';

/** The contract, written down a second time: what is not in it is not allowed. */
const ALLOWED: Record<string, object> = {
  'PENDING PAID': { stock: null, event: 'order.paid', refundDue: false },
  'PENDING CANCELED': { stock: 'released', event: 'order.canceled', refundDue: false },
  'PAID SHIPPED': { stock: 'shipped', event: 'order.shipped', refundDue: false },
  'PAID CANCELED': { stock: 'released', event: 'order.canceled', refundDue: true },
};

const pairs = orderStatuses.flatMap((from) => orderStatuses.map((to) => ({ from, to })));

describe('the 16 pairs of states: 4 are allowed, 12 are not', () => {
  test.each(pairs)('$from → $to', ({ from, to }) => {
    expect(transitionEffect(from, to)).toEqual(ALLOWED[`${from} ${to}`]);
    expect(allowedTransitions(from).includes(to)).toBe(`${from} ${to}` in ALLOWED);
  });
});

test('SHIPPED and CANCELED are ends: nothing leads out of them', () => {
  expect(allowedTransitions('SHIPPED')).toEqual([]);
  expect(allowedTransitions('CANCELED')).toEqual([]);
});

test('the sentence of the documentation says the same as the table', () => {
  expect(describeTransitions()).toBe(
    'PENDING → PAID or CANCELED; PAID → SHIPPED or CANCELED; SHIPPED → nothing more; CANCELED → nothing more',
  );
});
