import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseJsonBody, readJson } from '../../src/http/json-body.ts';
import { AppError } from '../../src/lib/errors.ts';
import { parseCents } from '../../src/lib/money.ts';

function parse(text: string | Buffer): unknown {
  return readJson(Buffer.from(text)).value;
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

function listOf(length: number): string {
  return Array.from({ length }, () => '1').join(', ');
}

function membersOf(length: number): string {
  return Array.from({ length }, (_, index) => `"m${index}":""`).join(',');
}

/** Refused though it is JSON. A repeated member is too, and no pattern finds one: a cut can make two names the same. */
const POISON = /__proto__/;
function namesTwice(refusal: unknown): boolean {
  return refusal instanceof AppError && /^The body names the member .* twice$/s.test(refusal.message);
}

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
      const refusal = refusalOf(text);
      expect(refusal === undefined || namesTwice(refusal)).toBe(valid);
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
    ['5,001 elements', `[${listOf(5001)}]`],
    ['5,001 members', `{${membersOf(5001)}}`],
    ['5,001 of both, nested', `{"items":[${Array.from({ length: 2500 }, () => '{"a":1}').join(',')}]}`],
    ['5,001 empty lists', `[${Array.from({ length: 5001 }, () => '[]').join(',')}]`],
    ['a member that is named twice', '{"quantity":1,"quantity":50}'],
    ['a member that is named twice, with the same value', '{"a":1,"a":1}'],
    ['a member that is named twice in an element', '{"items":[{"a":1},{"a":1,"b":2,"a":3}]}'],
    ['a member that is named twice, deep inside', '{"a":{"b":[{"c":{"d":1,"d":{}}}]}}'],
    ['a member that is named twice, once in escapes', String.raw`{"quantity":1,"\u0071uantit\u0079":50}`],
    ['a member that is named twice, in two escapes', String.raw`{"\/":1,"\u002f":2}`],
    ['the empty name twice', '{"":1,"":2}'],
    ['a repeated member whose first value has members', '{"a":{"b":1,"c":2},"d":3,"a":4}'],
    ['an integer as a name twice', '{"1":1,"2":2,"1":3}'],
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
    ['5,000 elements', `[${listOf(5000)}]`],
    ['5,000 members', `{${membersOf(5000)}}`],
    ['5,000 empty objects', `[${Array.from({ length: 5000 }, () => ' { } ').join(',')}]`],
    ['one name in two objects', '{"a":{"a":1},"b":[{"a":1},{"a":1}]}'],
    ['names that differ in case, form or blanks', '{"a":1,"A":1,"a ":1,"\u00e9":1,"e\u0301":1}'],
    ['colons, commas and brackets in names and strings', '{":,{":"a:b,c","[\\"}":["{:", ",,"]}'],
    ['100 objects side by side', `[${Array.from({ length: 100 }, () => '{}').join(',')}]`],
  ])('%s', (_what, text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });
});

test('a refused __proto__ has changed no prototype', () => {
  refusalOf('{"__proto__":{"polluted":true}}');
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});

function detailOf(text: string): string {
  return (refusalOf(text) as AppError).message;
}

test('the refusal of a repeated member names it, in 64 characters at most', () => {
  expect(detailOf('{"items":[{"quantity":1,"\\u0071uantity":5}]}')).toBe(
    'The body names the member "quantity" twice',
  );
  const long = 'x'.repeat(10_000);
  expect(detailOf(`{"${long}":1,"${long}":2}`).length).toBeLessThan(110);
});

/** Each letter as a JSON escape. */
function escaped(name: string): string {
  return name.replaceAll(/./g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

test('no text with a repeated member is accepted, wherever it is and however it is escaped', () => {
  const name = fc.stringMatching(/^[a-z]{1,3}$/);
  const member = fc.tuple(name, fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(
      fc.array(member, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.boolean(),
      (members, at, raw) => {
        const unique = [...new Map(members)];
        const [repeated = ''] = unique[at % unique.length] ?? [];
        const text = unique.map(([n, value]) => `${JSON.stringify(n)}:${JSON.stringify(value)}`);
        const again = `"${raw ? repeated : escaped(repeated)}":0`;
        fc.pre(!POISON.test(text.join()));
        expect(refusalOf(`[{"x":{${text.join(',')}}}]`)).toBeUndefined();
        expect(refusalOf(`[{"x":{${[...text, again].join(',')}}}]`)).toMatchObject({ status: 400 });
      },
    ),
  );
});

/** The value of a decimal number as a fraction: an integer, and how many decimals it has. */
function valueOf(text: string): [scaled: bigint, decimals: number] {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  return [BigInt(`${whole}${fraction}`), fraction.length - Number(exponent)];
}

function isWorth(text: string, cents: number): boolean {
  const [scaled, decimals] = valueOf(text);
  const shift = decimals - 2;
  return shift >= 0
    ? scaled === BigInt(cents) * 10n ** BigInt(shift)
    : scaled * 10n ** BigInt(-shift) === BigInt(cents);
}

test('a number that is accepted as an amount is worth exactly what is written', () => {
  const digits = fc.stringMatching(/^[1-9]\d{0,20}$/);
  const near = fc.integer({ min: 1, max: 999_999_999_999 }).chain((cents) =>
    // The doubles beside an amount, as they are written, and with digits behind.
    fc.constantFrom(-1e-11, 0, 1e-11, 1e-7).map((off) => (cents / 100 + off).toPrecision(17)),
  );
  const number = fc.oneof(
    near,
    fc
      .tuple(digits, fc.integer({ min: 0, max: 20 }), fc.constantFrom('', 'e-15', 'e-2', 'E0', 'e2', 'e-400'))
      .map(([all, decimals, exponent]) => {
        const padded = all.padStart(decimals + 1, '0');
        const whole = padded.slice(0, padded.length - decimals);
        return `${whole}${decimals === 0 ? '' : `.${padded.slice(-decimals)}`}${exponent}`;
      }),
  );
  fc.assert(
    fc.property(number, (text) => {
      const { value, rounded } = readJson(Buffer.from(`{"price":${text}}`));
      const cents = parseCents((value as { price: number }).price);
      expect(rounded.length > 0 || cents === undefined || isWorth(text, cents)).toBe(true);
    }),
    { numRuns: 5000 },
  );
});

test('every amount is accepted as JavaScript writes it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (cents) => {
      expect(parseJsonBody(Buffer.from(`{"price":${cents / 100}}`))).toEqual({ price: cents / 100 });
    }),
    { numRuns: 1000 },
  );
});

describe('a number that the parser rounds is 422, with its place', () => {
  test.each([
    ['{"price":99999.99000000001}', 'body/price'],
    ['{"price":8999.989999999999}', 'body/price'],
    ['{"price":8999.9899999999990}', 'body/price'],
    ['{"price":29989999999999998e-15}', 'body/price'],
    ['{"price": -0.1000000000000000055}', 'body/price'],
    ['{"items":[{"quantity":1},{"quantity":1.00000000000000001}]}', 'body/items/1/quantity'],
    ['{"stock":9007199254740993}', 'body/stock'],
    ['{"stock":1e-400}', 'body/stock'],
    ['{"name":"99999.99000000001 \\" 1e-400","price":1}', undefined],
    ['{"99999.99000000001":1}', undefined],
    ['{"price":29.9900000000000}', undefined],
    ['{"price":0.000000000000000000000}', undefined],
    ['{"price":000000000000000000001}', undefined],
    ['{"price":9007199254740992}', undefined],
    ['{"price":1e400}', undefined],
  ])('%s: %s', (text, path) => {
    const faultOf = () => {
      try {
        parseJsonBody(Buffer.from(text));
        return undefined;
      } catch (error) {
        const { status, fields } = error as AppError;
        return status === 422 ? (fields['errors'] as { path: string }[])[0]?.path : undefined;
      }
    };
    expect(faultOf()).toBe(path);
  });
});
