import { expect, test } from 'vitest';

import { createDeferred } from '../../src/lib/deferred.ts';
import { createReading } from '../../src/lib/reading.ts';

test('10 who ask at once share one reading, and the next asks anew', async () => {
  let reads = 0;
  const reading = createReading(async () => ++reads, 1000);
  expect(await Promise.all(Array.from({ length: 10 }, () => reading()))).toEqual(Array(10).fill(1));
  expect(await reading()).toBe(2);
});

test('a reading that fails leaves the last value, and undefined when there was none', async () => {
  const answers: (number | Error)[] = [new Error('away'), 1, new Error('away'), 2];
  const reading = createReading(async () => {
    const answer = answers.shift();
    if (answer instanceof Error || answer === undefined) throw answer;
    return answer;
  }, 1000);
  expect([await reading(), await reading(), await reading(), await reading()]).toEqual([undefined, 1, 1, 2]);
});

test('a reading that hangs is not waited for, not joined by another, and counts when it ends after all', async () => {
  const gate = createDeferred();
  let reads = 0;
  const reading = createReading(async () => {
    if (++reads === 2) await gate.promise;
    return reads;
  }, 1);
  expect(await reading()).toBe(1);
  expect([await reading(), await reading()]).toEqual([1, 1]);
  expect(reads).toBe(2);
  gate.resolve();
  await gate.promise;
  expect(await reading()).toBeGreaterThanOrEqual(2);
});
