import { describe, expect, test } from 'vitest';

import { toRows, toRowsAgainst } from '../../scripts/bench/goals.ts';
import type { Measurements } from '../../scripts/bench/measure.ts';

/** A step's rounds, each a rate; latencies are the same number in ms. */
function rounds(...values: number[]) {
  return values.map((value) => ({
    perSecond: value,
    latencyMs: { mean: value, p50: value, p95: value, p99: value, max: value },
  }));
}

describe('ours against another version', () => {
  test('3 rounds at 0.5, 1 and 4 times the rate of the same round: the median is 1, the spread 0.5 to 4', () => {
    const all: Measurements = new Map([
      ['other.get.100', rounds(100, 1000, 10)],
      ['get.100', rounds(50, 1000, 40)],
    ]);
    expect(toRowsAgainst(all, 'other.')).toMatchObject([
      {
        label: 'GET /products/{id}, 100 connections',
        peer: 100,
        service: 50,
        value: 1,
        spread: [0.5, 4],
        result: 'goal',
      },
    ]);
  });

  test.each([
    [0.97, 1.03, 'missed'],
    [0.98, 1.02, 'ok'],
    [1, 1, 'goal'],
  ])('%s of the rate and %s of the latency: %s, for a change may cost 2 %', (rate, time, result) => {
    const all: Measurements = new Map([
      ['other.orders.hot.100', rounds(1)],
      ['orders.hot.100', rounds(rate)],
      ['other.get.latency', rounds(1)],
      ['get.latency', rounds(time)],
    ]);
    expect(toRowsAgainst(all, 'other.').map((row) => row.result)).toEqual([result, result]);
  });
});

function resultOfRead(time: number) {
  const all: Measurements = new Map([
    ['pg.read', rounds(1)],
    ['get.latency', rounds(time)],
  ]);
  return toRows(all, [100]).map((row) => row.result);
}

test('a read at 1 connection may take 3 times as long as its statement on a bare pg client', () => {
  expect([1.8, 3, 3.1].flatMap(resultOfRead)).toEqual(['goal', 'ok', 'missed']);
});
