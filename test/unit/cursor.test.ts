import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { decodeCursor, encodeCursor } from '../../src/lib/cursor.ts';

const scope = { sort: 'id', filters: { q: 'mug', active: true, sku: undefined } };

function forged(text: string): string {
  return Buffer.from(text).toString('base64url');
}

test('every id from 1 to 2^53-1 survives its cursor', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (id) => {
      expect(decodeCursor(encodeCursor(id, scope), scope)).toBe(id);
    }),
  );
});

test('a cursor belongs to its sort and filters: another sort, another value, one more or one less refuse it', () => {
  const cursor = encodeCursor(7, scope);
  const others = [
    { sort: '-id', filters: scope.filters },
    { sort: 'id', filters: { q: 'cup', active: true } },
    { sort: 'id', filters: { q: 'mug', active: false } },
    { sort: 'id', filters: { q: 'mug' } },
    { sort: 'id', filters: { q: 'mug', active: true, sku: 'A' } },
    { sort: 'id', filters: {} },
  ];
  expect(others.filter((other) => decodeCursor(cursor, other) !== undefined)).toEqual([]);
});

test('filters that are not set, and the order of filters, make no difference', () => {
  const cursor = encodeCursor(7, { sort: 'id', filters: { active: true, q: 'mug' } });
  expect(decodeCursor(cursor, scope)).toBe(7);
});

describe('what is not a cursor', () => {
  const digest = Buffer.from(encodeCursor(7, scope), 'base64url').toString('latin1').split('.')[1] ?? '';

  test('the parts that the next cases are forged from make a good cursor', () => {
    expect(decodeCursor(forged(`7.${digest}`), scope)).toBe(7);
  });

  test.each([
    ['nothing', ''],
    ['an id alone', '7'],
    ['the readable text', `7.${digest}`],
    ['another digest', forged(`7.${'A'.repeat(12)}`)],
    ['a digest that is cut', forged(`7.${digest.slice(0, 11)}`)],
    ['id 0', forged(`0.${digest}`)],
    ['a leading zero', forged(`07.${digest}`)],
    ['a negative id', forged(`-7.${digest}`)],
    ['2^53', forged(`9007199254740992.${digest}`)],
    ['17 digits', forged(`10000000000000000.${digest}`)],
    ['text after it', forged(`7.${digest}x`)],
    ['a line break after it', forged(`7.${digest}\n`)],
    ['padding', `${forged(`7.${digest}`)}=`],
    ['junk that base64 skips', `${forged(`7.${digest}`)}!`],
    ['a blank in front', ` ${forged(`7.${digest}`)}`],
  ])('%s', (_what, cursor) => {
    expect(decodeCursor(cursor, scope)).toBeUndefined();
  });

  test('any text at all: it is refused or is a cursor that we would have written, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const id = decodeCursor(text, scope);
        expect(id === undefined || encodeCursor(id, scope) === text).toBe(true);
      }),
    );
  });
});
