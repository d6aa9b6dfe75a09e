import fc from 'fast-check';
import { expect, test } from 'vitest';

import { fingerprintOf } from '../../src/idempotency/fingerprint.ts';

function print(command: unknown, method = 'POST', route = '/orders'): string {
  return fingerprintOf(method, route, command).toString('hex');
}

/** The same value with the members of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toReversed();
  return Object.fromEntries(entries.map(([name, member]) => [name, reversed(member)]));
}

test('the order of members makes no difference, at any depth', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (command) => {
      expect(print(reversed(command))).toBe(print(command));
    }),
  );
});

test('two commands have one fingerprint only when their JSON is the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      const same = JSON.stringify(reversed(one)) === JSON.stringify(reversed(other));
      expect(print(one) === print(other) || !same).toBe(true);
    }),
  );
  expect(print({ a: 1 })).not.toBe(print({ a: '1' }));
  expect(print({ a: null })).not.toBe(print({}));
  expect(print({ a: { b: 1 } })).not.toBe(print({ a: 1, b: 1 }));
});

test('the order of a list is part of the command', () => {
  expect(print({ items: [1, 2] })).not.toBe(print({ items: [2, 1] }));
});

test('the method and the route are part of it, and cannot run into one another', () => {
  expect(print({}, 'PUT')).not.toBe(print({}, 'POST'));
  expect(print({}, 'POST', '/products')).not.toBe(print({}, 'POST', '/orders'));
  expect(print({}, 'POST/', 'orders')).not.toBe(print({}, 'POST', '/orders'));
});

test('a command has the same fingerprint in every version: its key is kept for 24 hours, and an upgrade may come between', () => {
  const command = { quantity: 1, product_id: 7, items: [{ b: 2, a: null }] };
  expect(print(command)).toBe('80d45d77d21a16606d31305e5bb7ee3cdbb2d5d59bbd0f1e7b950dad59600103');
});

test('a list is no object with numbers for names', () => {
  expect(print([1])).not.toBe(print({ 0: 1 }));
});

test('a fingerprint is 32 bytes', () => {
  expect(fingerprintOf('POST', '/orders', {})).toHaveLength(32);
});
