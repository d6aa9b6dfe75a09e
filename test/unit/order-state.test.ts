import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  allowedTransitions,
  describeTransitions,
  expiryTime,
  type OrderCommand,
  orderCommands,
  type OrderStatus,
  orderStatuses,
  transitionEffect,
} from '../../src/orders/order-state.ts';

const released = {
  to: 'CANCELED',
  stock: 'released',
  event: 'order.canceled',
  reason: null,
};

/** The contract, written down a second time: what is not in it is not allowed. */
const ALLOWED: Record<string, object> = {
  'PENDING PAID': { to: 'PAID', stock: null, event: 'order.paid', reason: null },
  'PENDING CANCELED': released,
  'PENDING expire': { ...released, event: 'order.expired', reason: 'expired' },
  'PAID SHIPPED': { to: 'SHIPPED', stock: 'shipped', event: 'order.shipped', reason: null },
  'PAID CANCELED': released,
};

const pairs = orderStatuses.flatMap((from) => orderCommands.map((command) => ({ from, command })));

describe('the 20 pairs of a state and a command: 5 are allowed, 15 are not', () => {
  test.each(pairs)('$from, $command', ({ from, command }) => {
    expect(transitionEffect(from, command)).toEqual(ALLOWED[`${from} ${command}`]);
    const isState = command !== 'expire' && `${from} ${command}` in ALLOWED;
    expect((allowedTransitions(from) as string[]).includes(command)).toBe(isState);
  });
});

test('only what is not paid yet expires, and nobody can ask for it', () => {
  expect(orderStatuses.filter((from) => transitionEffect(from, 'expire') !== undefined)).toEqual(['PENDING']);
  expect(orderStatuses.flatMap(allowedTransitions)).not.toContain('expire');
});

test.each([
  [0, null],
  [1, '2026-12-31T23:59:59.999Z'],
  [15, '2027-01-01T00:13:59.999Z'],
  [525_600, '2027-12-31T23:58:59.999Z'],
])('an order with %i minutes that is placed at 23:58:59.999 expires at %s', (minutes, expected) => {
  expect(expiryTime('2026-12-31T23:58:59.999Z', minutes)).toBe(expected);
});

test('SHIPPED and CANCELED are ends: nothing leads out of them', () => {
  expect(allowedTransitions('SHIPPED')).toEqual([]);
  expect(allowedTransitions('CANCELED')).toEqual([]);
});

test('the sentence of the documentation says the same as the table', () => {
  expect(describeTransitions()).toBe(
    'PENDING → PAID or CANCELED, and CANCELED by itself at expires_at; PAID → SHIPPED or CANCELED; SHIPPED → nothing more; CANCELED → nothing more',
  );
});

/** Asks for one state after the other, and takes the steps that are allowed. */
function live(wishes: readonly OrderCommand[]) {
  let state: OrderStatus = 'PENDING';
  const events: string[] = [];
  const stock: string[] = [];
  for (const command of wishes) {
    const effect = transitionEffect(state, command);
    if (effect === undefined) continue;
    state = effect.to;
    events.push(effect.event);
    if (effect.stock !== null) stock.push(effect.stock);
  }
  return { state, events, stock };
}

test('whatever is asked for, in any order: the stock of an order leaves it once at most, and no event comes twice', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...orderCommands), { maxLength: 30 }), (wishes) => {
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
      expect(events.slice(0, -1)).not.toContain('order.expired');
      expect(events.indexOf('order.expired')).toBeLessThanOrEqual(0);
    }),
  );
});
