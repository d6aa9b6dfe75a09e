import fc from 'fast-check';
import pg from 'pg';
import { expect, inject, onTestFinished, test } from 'vitest';

import { plainArray, textArray } from '../../src/db/pg-array.ts';

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: inject('adminUrl') });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function elements<T>(client: pg.Client, literal: string, type: string): Promise<T[]> {
  const text = `select element from unnest($1::${type}[]) with ordinality as u (element, n) order by n`;
  const { rows } = await client.query<{ element: T }>(text, [literal]);
  return rows.map(({ element }) => element);
}

test('texts that look like the syntax of an array literal arrive as they are, and null is not the text NULL', async () => {
  const client = await connect();
  const words = [
    null,
    'NULL',
    'null',
    '',
    ' ',
    'ü',
    '😀',
    '\n',
    '\t',
    '$1',
    '$&',
    '$$',
    "'",
    "'); drop table orders; --",
  ];
  const syntax = [
    '"',
    '""',
    '\\',
    '\\\\',
    '\\"',
    '"\\',
    '\\n',
    '\\N',
    '{',
    '}',
    '{}',
    '{a,b}',
    ',',
    ',,',
    '"},{"',
    '[1:2]={1}',
  ];
  const texts = [...words, ...syntax];
  expect(await elements(client, textArray(texts), 'text')).toEqual(texts);
});

test('any texts, quotes, backslashes, braces and nulls in any mix arrive as they are, in their order', async () => {
  const client = await connect();
  const hostile = fc.string({
    unit: fc.constantFrom('"', '\\', '{', '}', ',', "'", ' ', '\n', '$', '&', 'N'),
  });
  // What PostgreSQL cannot hold, validation has refused: NUL, and halves of surrogate pairs.
  const any = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
  const texts = fc.array(fc.oneof(hostile, any, fc.constantFrom(null, 'NULL', '')), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(texts, async (values) => {
      expect(await elements(client, textArray(values), 'text')).toEqual(values);
    }),
    { numRuns: 300 },
  );
});

test('numbers to the edge of the safe range and decimals arrive digit by digit; no element is an empty array', async () => {
  const client = await connect();
  const ids = [1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0];
  expect(await elements(client, plainArray(ids), 'bigint')).toEqual(ids.map(String));
  const prices = ['0.01', '9999999999.99', '10.00'];
  expect(await elements(client, plainArray(prices), 'numeric')).toEqual(prices);
  expect(await elements(client, plainArray([]), 'bigint')).toEqual([]);
  expect(await elements(client, textArray([]), 'text')).toEqual([]);
});
