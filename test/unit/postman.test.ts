import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { problems } from '../../src/lib/errors.ts';

test('every code that a test of the Postman collection expects is a code of the service', () => {
  const collection = readFileSync('postman/orders_inventory.json', 'utf8');
  const codes = [...collection.matchAll(/\bcode: '([a-z_]+)'/g)].map(([, code = '']) => code);
  expect(codes.length).toBeGreaterThan(20);
  expect([...new Set(codes)].filter((code) => !(code in problems))).toEqual([]);
});
