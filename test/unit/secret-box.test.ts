import { expect, test } from 'vitest';

import { createSecretBox, readKey } from '../../src/lib/secret-box.ts';

const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const PLACE = 'webhook_endpoints/1/secret';

test('what is sealed opens at its place only, and is another text each time', () => {
  const box = createSecretBox([first]);
  const sealed = box.seal('whsec_é', PLACE);
  expect(sealed).toMatch(/^v1\.[\da-f]{8}\.[\w-]{16}\.[\w-]+$/);
  expect(box.open(sealed, PLACE)).toBe('whsec_é');
  expect(box.seal('whsec_é', PLACE)).not.toBe(sealed);
  for (const place of ['webhook_endpoints/2/secret', 'webhook_endpoints/1/secret_previous']) {
    expect(() => box.open(sealed, place)).toThrow('unable to authenticate data');
  }
});

test('one changed character does not open', () => {
  const box = createSecretBox([first]);
  const sealed = box.seal('x', PLACE);
  for (let at = sealed.lastIndexOf('.') + 1; at < sealed.length - 1; at++) {
    const other = sealed[at] === 'A' ? 'B' : 'A';
    expect(() => box.open(sealed.slice(0, at) + other + sealed.slice(at + 1), PLACE)).toThrow(
      'unable to authenticate data',
    );
  }
});

test('the previous key opens and does not seal', () => {
  const old = createSecretBox([first]).seal('x', PLACE);
  const box = createSecretBox([second, first]);
  expect(box.open(old, PLACE)).toBe('x');
  expect([box.isCurrent(old), box.isKnown(old)]).toEqual([false, true]);
  expect(box.isCurrent(box.seal('x', PLACE))).toBe(true);
  const other = createSecretBox([second]);
  expect(other.isKnown(old)).toBe(false);
  expect(() => other.open(old, PLACE)).toThrow('unknown key');
});

test.each([
  [first.toString('base64'), first],
  [first.toString('hex'), first],
  [first.toString('hex').toUpperCase(), first],
  [first.toString('base64').slice(0, -1), undefined],
  [Buffer.alloc(31).toString('base64'), undefined],
  [Buffer.alloc(33).toString('base64'), undefined],
  ['secret', undefined],
  ['', undefined],
])('the key %s', (text, key) => {
  expect(readKey(text)).toEqual(key);
});
