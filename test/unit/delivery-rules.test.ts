import { describe, expect, test } from 'vitest';

import { BACKOFF_MS, decide, errorOf, retryAfterMs, type Sent } from '../../src/outbound/delivery-rules.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const NOTHING: Sent = { status: null, fault: null, retryAfter: null, response: null, durationMs: 1 };
const usual = { tries: 1, once: false, nowMs: NOW_MS, random: 0.5 };

function answered(status: number, retryAfter: string | null = null): Sent {
  return { ...NOTHING, status, retryAfter };
}

test.each([
  [200, 'delivered'],
  [204, 'delivered'],
  [299, 'delivered'],
  [300, 'dead'],
  [301, 'dead'],
  [307, 'dead'],
  [400, 'dead'],
  [401, 'dead'],
  [404, 'dead'],
  [408, 'retry'],
  [409, 'dead'],
  [410, 'gone'],
  [425, 'retry'],
  [429, 'retry'],
  [500, 'retry'],
  [503, 'retry'],
  [599, 'retry'],
])('%i: %s', (status, verdict) => {
  expect(decide(answered(status), usual).verdict).toBe(verdict);
});

test.each([
  'address_refused',
  'unresolved',
  'unreachable',
  'tls',
  'timeout',
  'broken_off',
  'malformed_answer',
] as const)('no answer (%s): retry, with a sentence that has no address', (fault) => {
  const sent = { ...NOTHING, fault };
  expect(decide(sent, usual).verdict).toBe('retry');
  expect(errorOf(sent)).toMatch(/^[A-Z][^\d:]+$/);
});

test('the pauses are 1, 2, 4, 8, 16 s, then 1 m, 5 m, 30 m, 2 h, 5 h, 10 h, 24 h, and then it is dead', () => {
  const delays = [];
  for (let tries = 1; ; tries++) {
    const decision = decide(answered(500), { ...usual, tries });
    if (decision.verdict !== 'retry') break;
    delays.push(decision.delayMs / 1000);
  }
  expect(delays).toEqual([1, 2, 4, 8, 16, 60, 300, 1800, 7200, 18_000, 36_000, 86_400]);
  expect(decide(answered(500), { ...usual, tries: BACKOFF_MS.length + 1 })).toEqual({ verdict: 'dead' });
});

test('each pause is spread by a fifth to both sides', () => {
  expect(decide(answered(500), { ...usual, random: 0 })).toMatchObject({ delayMs: 800 });
  expect(decide(answered(500), { ...usual, random: 1 })).toMatchObject({ delayMs: 1200 });
});

describe('Retry-After', () => {
  test.each([
    ['120', 120_000],
    ['0', 0],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
    ['Fri, 02 Jan 2026 03:03:05 GMT', 0],
    ['999999999', 86_400_000],
    ['Fri, 02 Jan 2099 03:05:05 GMT', 86_400_000],
    ['soon', 0],
    ['-5', 0],
    ['1e9', 0],
    ['', 0],
    [null, 0],
  ])('%s: %i ms', (text, delayMs) => {
    expect(retryAfterMs(text, NOW_MS)).toBe(delayMs);
  });

  test('lengthens a pause and never shortens it', () => {
    expect(decide(answered(429, '7'), usual)).toMatchObject({ delayMs: 7000 });
    expect(decide(answered(503, '0'), usual)).toMatchObject({ delayMs: 1000 });
  });
});

test('a ping is tried once, whatever becomes of it', () => {
  expect(decide(answered(500), { ...usual, once: true })).toEqual({ verdict: 'dead' });
  expect(decide(answered(410), { ...usual, once: true })).toEqual({ verdict: 'dead' });
  expect(decide(answered(200), { ...usual, once: true })).toEqual({ verdict: 'delivered' });
});
