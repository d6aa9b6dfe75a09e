import { describe, expect, test } from 'vitest';

import { AppError } from '../../src/lib/errors.ts';
import { matchesVersion, parseVersionMatch, requireVersion, toEtag } from '../../src/lib/versions.ts';

test('version 3 is the entity tag "3", in quotes', () => {
  expect(toEtag(3)).toBe('"3"');
});

describe('headers of entity tags', () => {
  test.each([
    ['"3"', [3]],
    ['"3", "5"', [3, 5]],
    ['"3","5"', [3, 5]],
    ['*', 'any'],
    [' * ', 'any'],
    ['"abc"', []],
    ['""', []],
    ['"03"', []],
    ['"-3"', []],
    ['"3", "abc"', [3]],
    ['"3",', [3]],
    [',"3"', [3]],
    [' , ,"3" , , "5",,', [3, 5]],
    ['"a,b", "3"', [3]],
    ['"3,5"', []],
    ['", "', []],
  ])('%s names %j', (header, expected) => {
    expect(parseVersionMatch(header, 'strong')).toEqual(expected);
  });

  test.each([
    '',
    ',',
    ' , ',
    '3',
    "'3'",
    '"3',
    '3"',
    '"3" "5"',
    '"3", 5',
    'w/"3"',
    '*, "3"',
    '"a"b"',
    '"3"W/',
  ])('%j is malformed', (header) => {
    expect(parseVersionMatch(header, 'strong')).toBeUndefined();
  });

  test('a weak tag matches weakly, and never strongly', () => {
    expect(parseVersionMatch('W/"3"', 'weak')).toEqual([3]);
    expect(parseVersionMatch('W/"3"', 'strong')).toEqual([]);
    expect(parseVersionMatch('W/"3", "4"', 'strong')).toEqual([4]);
  });
});

test('* matches every version, a list matches its own', () => {
  expect(matchesVersion('any', 1)).toBe(true);
  expect(matchesVersion([1, 3], 3)).toBe(true);
  expect(matchesVersion([1, 3], 2)).toBe(false);
  expect(matchesVersion([], 2)).toBe(false);
});

test('a stale If-Match throws 412 with the current state and its ETag; a right one and none do not', () => {
  const current = { id: 1, version: 4 };
  expect(() => requireVersion(undefined, current)).not.toThrow();
  expect(() => requireVersion([4], current)).not.toThrow();
  let refusal: unknown;
  try {
    requireVersion([3], current);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(AppError);
  expect(refusal).toMatchObject({ status: 412, fields: { current }, headers: { etag: '"4"' } });
});
