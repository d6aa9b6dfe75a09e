import { expect, test } from 'vitest';

import { showBody } from '../../src/inbound/inbox.ts';

const shown = (body: string | Buffer, total?: number) => {
  const bytes = Buffer.from(body);
  const { raw_body, raw_body_encoding, raw_body_truncated } = showBody(bytes, total ?? bytes.length);
  return [raw_body, raw_body_encoding, raw_body_truncated];
};

test.each(['', '{}', 'ü🍵', '\ufeff{}', 'a\0b', '\u2028'])('%j is shown as it is', (text) => {
  expect(shown(text)).toEqual([text, 'utf-8', false]);
});

test.each(['ff', 'c3', 'eda0bd', 'c080', '61f09f8d'])(
  'the bytes %s are not UTF-8, so they are shown in base64',
  (hex) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(shown(bytes)).toEqual([bytes.toString('base64'), 'base64', false]);
  },
);

test('a cut through a character leaves the character out; bytes that are wrong before the cut are still wrong', () => {
  const tea = Buffer.from('a🍵');
  for (const length of [2, 3, 4]) expect(shown(tea.subarray(0, length), 5)).toEqual(['a', 'utf-8', true]);
  expect(shown(Buffer.from('61ff62', 'hex'), 9)).toEqual(['Yf9i', 'base64', true]);
});
