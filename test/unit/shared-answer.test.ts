import { expect, test } from 'vitest';

import { createDeferred } from '../../src/lib/deferred.ts';
import { shareAnswer } from '../../src/lib/shared-answer.ts';

test('20 callers at the same moment share one run', async () => {
  let runs = 0;
  const ask = shareAnswer(async () => ++runs, 0);
  expect(await Promise.all(Array.from({ length: 20 }, () => ask()))).toEqual(
    Array.from({ length: 20 }, () => 1),
  );
  expect(await ask()).toBe(2);
});

test('an answer counts for its time, then the work runs again', async () => {
  let runs = 0;
  const ask = shareAnswer(async () => ++runs, 50);
  expect([await ask(), await ask()]).toEqual([1, 1]);
  await expect.poll(ask, { interval: 5 }).toBe(2);
});

test('a failure is shared like any answer, and is not kept for ever', async () => {
  let runs = 0;
  const ask = shareAnswer(async () => {
    runs += 1;
    if (runs === 1) throw new Error('away');
    return 'back';
  }, 50);
  const both = await Promise.allSettled([ask(), ask()]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect.poll(() => ask().catch(() => 'away'), { interval: 5 }).toBe('back');
  expect(runs).toBe(2);
});

test('work that takes longer than an answer counts is not begun twice', async () => {
  let runs = 0;
  const work = createDeferred();
  const ask = shareAnswer(() => {
    runs += 1;
    return work.promise;
  }, 0);
  const first = ask();
  const second = ask();
  work.resolve();
  await Promise.all([first, second]);
  expect(runs).toBe(1);
});
