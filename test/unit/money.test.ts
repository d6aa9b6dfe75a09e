import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  centsToDecimal,
  centsToNumber,
  MAX_AMOUNT,
  MAX_CENTS,
  parseCents,
  toCents,
  totalCents,
} from '../../src/lib/money.ts';

const cents = fc.integer({ min: 0, max: MAX_CENTS });

test('every amount from 0 to 999,999,999,999 cents survives a number, its JSON and its decimal text', () => {
  fc.assert(
    fc.property(cents, (amount) => {
      const number = centsToNumber(amount);
      expect(parseCents(number)).toBe(amount);
      expect(parseCents(JSON.parse(JSON.stringify(number)) as number)).toBe(amount);
      expect(parseCents(centsToDecimal(amount))).toBe(amount);
    }),
    { numRuns: 2000 },
  );
});

test('no number is rounded: what is taken is worth exactly what was given', () => {
  fc.assert(
    fc.property(fc.double(), (amount) => {
      const parsed = parseCents(amount);
      expect(parsed === undefined || Number(centsToDecimal(parsed)) === amount).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('a text with three decimals or more is never an amount, not even when they are zeros', () => {
  const digits = fc.stringMatching(/^\d{3,12}$/);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 9_999_999_999 }), digits, (whole, fraction) => {
      expect(parseCents(`${whole}.${fraction}`)).toBeUndefined();
    }),
  );
});

describe('what is an amount', () => {
  test.each([
    ['0', 0],
    ['29.99', 2999],
    ['29.9', 2990],
    ['0000000001', 100],
    [0.1, 10],
    [0.29, 29],
    [1e2, 10_000],
    [9_999_999_999.99, MAX_CENTS],
    ['9999999999.99', MAX_CENTS],
    [MAX_AMOUNT, MAX_CENTS],
  ])('%j is %i cents', (amount, expected) => {
    expect(parseCents(amount)).toBe(expected);
    expect(toCents(amount)).toBe(expected);
  });

  test.each([
    0.005,
    29.999,
    1e-7,
    10_000_000_000,
    9_999_999_999.995,
    1e21,
    -1,
    -0.01,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    '',
    ' 1',
    '1 ',
    '1\n',
    '1.',
    '.5',
    '+1',
    '-1',
    '1e2',
    '0x10',
    '1,50',
    '1.234',
    '10000000000',
    'NaN',
    'Infinity',
    '٣',
  ])('%j is not an amount, and toCents throws', (amount) => {
    expect(parseCents(amount)).toBeUndefined();
    expect(() => toCents(amount)).toThrow(RangeError);
  });
});

test('a total is exact up to 9,999,999,999.99 and undefined above, checked against big integers', () => {
  const line = fc.record({ quantity: fc.integer({ min: 1, max: 1_000_000_000 }), priceCents: cents });
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 100 }), (lines) => {
      const exact = lines.reduce((sum, l) => sum + BigInt(l.quantity) * BigInt(l.priceCents), 0n);
      expect(totalCents(lines)).toBe(exact > BigInt(MAX_CENTS) ? undefined : Number(exact));
    }),
  );
  expect(totalCents([{ quantity: 1, priceCents: MAX_CENTS }])).toBe(MAX_CENTS);
  expect(
    totalCents([
      { quantity: 1, priceCents: MAX_CENTS },
      { quantity: 1, priceCents: 1 },
    ]),
  ).toBeUndefined();
});
