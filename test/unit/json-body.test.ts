import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseJsonBody } from '../../src/http/json-body.ts';
import { AppError } from '../../src/lib/errors.ts';

function parse(text: string | Buffer): unknown {
  return parseJsonBody(Buffer.from(text));
}

/** The refusal, or undefined when the text is accepted. */
function refusalOf(text: string | Buffer): unknown {
  try {
    parse(text);
    return undefined;
  } catch (error) {
    return error;
  }
}

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

const POISON = /__proto__|constructor/;

test('agrees with JSON.parse on every valid document, however it is spaced', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 3 }), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      fc.pre(!POISON.test(text));
      expect(parse(text)).toStrictEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test('agrees with JSON.parse on what is not JSON', () => {
  const almostJson = fc
    .tuple(fc.jsonValue(), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', '1', '\\', '\u00e9', '\ufeff'))
    .map(([value, at, insert]) => {
      const text = JSON.stringify(value);
      const cut = at % (text.length + 1);
      return text.slice(0, cut) + insert + text.slice(cut + 1);
    });
  fc.assert(
    fc.property(fc.oneof(almostJson, fc.string({ unit: 'binary' })), (text) => {
      fc.pre(!POISON.test(text) && !/\p{Surrogate}/u.test(text));
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      expect(refusalOf(text) === undefined).toBe(valid);
    }),
    { numRuns: 2000 },
  );
});

describe('refused with 400', () => {
  test.each<[string, string | Buffer]>([
    ['an empty body', ''],
    ['blanks alone', '  \n'],
    ['a byte order mark', '\ufeff{}'],
    ['two documents', '{}{}'],
    ['a trailing comma', '{"a":1,}'],
    ['a comment', '{/* */}'],
    ['single quotes', "{'a':1}"],
    ['NaN', '{"a":NaN}'],
    ['a raw line break in a string', '"a\nb"'],
    ['a lone byte 0xff', Buffer.from([0x22, 0xff, 0x22])],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a sequence that is cut off', Buffer.from([0x22, 0xe2, 0x82, 0x22])],
    ['__proto__', '{"__proto__":{"admin":true}}'],
    ['__proto__ deep inside', '{"a":[{"b":{"__proto__":1}}]}'],
    ['__proto__ in escapes', String.raw`{"\u005f\u005fproto__":1}`],
    ['33 levels', nested(33)],
    ['100,000 levels', nested(100_000)],
    ['100,000 levels that are never closed', '{"a":'.repeat(100_000)],
    ['brackets that close first', `]]]${nested(40)}`],
  ])('%s', (_what, text) => {
    const refusal = refusalOf(text);
    expect(refusal).toBeInstanceOf(AppError);
    expect(refusal).toMatchObject({ status: 400, code: 'malformed_request' });
  });
});

describe('accepted', () => {
  test.each([
    ['32 levels', nested(32)],
    ['100 brackets inside of a string', `"${'['.repeat(100)}"`],
    ['brackets behind an escaped quote', `"\\"${'{'.repeat(100)}"`],
    ['__proto__ as a value', '{"name":"__proto__"}'],
    ['a member named constructor', '{"constructor":1}'],
    ['constructor.prototype', '{"constructor":{"prototype":{"admin":true}}}'],
    ['100 objects side by side', `[${Array.from({ length: 100 }, () => '{}').join(',')}]`],
  ])('%s', (_what, text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });
});

test('a refused __proto__ has changed no prototype', () => {
  refusalOf('{"__proto__":{"polluted":true}}');
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});
