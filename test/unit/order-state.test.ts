import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  allowedTransitions,
  describeTransitions,
  type OrderStatus,
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

/** Asks for one state after the other, and takes the steps that are allowed. */
function live(wishes: readonly OrderStatus[]) {
  let state: OrderStatus = 'PENDING';
  const events: string[] = [];
  const stock: string[] = [];
  for (const to of wishes) {
    const effect = transitionEffect(state, to);
    if (effect === undefined) continue;
    state = to;
    events.push(effect.event);
    if (effect.stock !== null) stock.push(effect.stock);
  }
  return { state, events, stock };
}

test('whatever is asked for, in any order: the stock of an order leaves it once at most, and no event comes twice', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...orderStatuses), { maxLength: 30 }), (wishes) => {
      const { state, events, stock } = live(wishes);
      const left: Record<OrderStatus, string[]> = {
        PENDING: [],
        PAID: [],
        SHIPPED: ['shipped'],
        CANCELED: ['released'],
      };
      expect(stock).toEqual(left[state]);
      expect(new Set(events).size).toBe(events.length);
      // A paid order never goes back, and nothing follows the end of a life.
      expect(events.slice(1)).not.toContain('order.paid');
      expect(events.slice(0, -1)).not.toContain('order.shipped');
      expect(events.slice(0, -1)).not.toContain('order.canceled');
    }),
  );
});
