import { setImmediate as macrotask } from 'node:timers/promises';

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';

import { createBatcher, QueueFullError, StoppedError, WaitedTooLongError } from '../../src/lib/batcher.ts';
import { trips, watchedBatcher } from '../support/watched-batcher.ts';

/** Whether a promise has settled by now, once everything that could run has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await macrotask();
  return settled;
}

const shapes = fc.record({
  maxBatch: fc.integer({ min: 1, max: 4 }),
  lanes: fc.integer({ min: 1, max: 3 }),
  maxQueue: fc.integer({ min: 1, max: 6 }),
  answersPerTurn: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
});

/** More turns than the answers of all batches that can be under way need. */
async function allTurns(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await macrotask();
}

test('any calls, trips and failures in any order: first come first served, within the limits, each its own answer', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      shapes,
      fc.array(fc.constantFrom(...trips), { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 }),
      async (scheduler, shape, script, arrivals) => {
        const watched = watchedBatcher(scheduler, shape, script);
        scheduler.scheduleSequence(
          arrivals.map((count) => async () => {
            for (let n = 0; n < count; n++) watched.submit();
          }),
        );
        await scheduler.waitIdle();
        await allTurns();
        expect(watched.left()).toEqual({ underWay: 0, waitingToDraw: 0, waiting: 0 });
        expect(watched.outcomes()).toEqual(watched.expectedOutcomes());
      },
    ),
    { numRuns: 500 },
  );
});

test('a stop at any moment: what is queued is answered first, what comes after is refused, and it ends once idle', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      shapes,
      fc.array(fc.constantFrom(...trips), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat({ max: 8 }), { minLength: 1, maxLength: 3 }),
      async (scheduler, shape, script, arrivals, stopsAt) => {
        const watched = watchedBatcher(scheduler, shape, script);
        scheduler.scheduleSequence(
          [...arrivals, 0].map((count, step) => async () => {
            // More than one stop is one stop.
            for (const at of stopsAt) if (at === step) watched.stop();
            for (let n = 0; n < count; n++) watched.submit();
          }),
        );
        await scheduler.waitIdle();
        watched.stop();
        await allTurns();
        expect(watched.outcomes()).toEqual(watched.expectedOutcomes());
        const idle = { underWay: 0, unanswered: 0 };
        expect(watched.stopsEnded).toEqual(Array.from({ length: watched.stops() }, () => idle));
      },
    ),
    { numRuns: 500 },
  );
});

test('a call that finds a lane free runs before submit returns, and no timer is ever set', async () => {
  const timers = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')];
  const batches: (readonly number[])[] = [];
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      const calls = draw();
      batches.push(calls);
      return calls;
    },
    maxBatch: 10,
    lanes: 1,
    maxQueue: 10,
  });
  const answer = batcher.submit(1);
  expect(batches).toEqual([[1]]);
  expect(await answer).toBe(1);
  expect(await batcher.submit(2)).toBe(2);
  for (const timer of timers) {
    expect(timer).not.toHaveBeenCalled();
    timer.mockRestore();
  }
});

test('9 calls arrive while a lane waits for its turn: all 10 are in its batch; 5 that come after the draw are in the next', async () => {
  const turns: (() => void)[] = [];
  const batches: number[] = [];
  const told: [size: number, waitedMs: number][] = [];
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      await new Promise<void>((resolve) => turns.push(resolve));
      const calls = draw();
      // Whoever asks twice is shown the same batch.
      expect(draw()).toEqual(calls);
      batches.push(calls.length);
      await macrotask();
      return calls;
    },
    maxBatch: 100,
    lanes: 1,
    maxQueue: 100,
    onBatch: (size, waitedMs) => told.push([size, waitedMs]),
  });
  const answers = Array.from({ length: 10 }, (_, call) => batcher.submit(call));
  turns.shift()?.();
  await Promise.resolve();
  const late = Array.from({ length: 5 }, (_, call) => batcher.submit(10 + call));
  expect(await Promise.all(answers)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  turns.shift()?.();
  expect(await Promise.all(late)).toEqual([10, 11, 12, 13, 14]);
  expect(batches).toEqual([10, 5]);
  expect(told.map(([size]) => size)).toEqual([10, 5]);
  for (const [, waitedMs] of told) expect(waitedMs).toBeGreaterThanOrEqual(0);
});

test('5 answers, 2 in a turn: whatever came in meanwhile has its turn between them, and the lane works on', async () => {
  const seen: string[] = [];
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      await Promise.resolve();
      const calls = draw();
      seen.push(`work on ${calls.join()}`);
      return calls;
    },
    maxBatch: 5,
    lanes: 1,
    maxQueue: 10,
    answersPerTurn: 2,
  });
  const answers = [1, 2, 3, 4, 5, 6].map(async (call) => seen.push(`answer ${await batcher.submit(call)}`));
  let turns = 0;
  const turn = () => {
    turns++;
    seen.push('turn');
    if (turns < 3) setImmediate(turn);
  };
  setImmediate(turn);
  const stopped = batcher.stop().then(() => seen.push('stopped'));
  await Promise.all([...answers, stopped]);
  expect(seen.indexOf('work on 6')).toBeLessThan(seen.indexOf('answer 3'));
  expect(seen.filter((step) => step.startsWith('answer') || step === 'turn').slice(0, 8)).toEqual([
    'answer 1',
    'answer 2',
    'answer 6',
    'turn',
    'answer 3',
    'answer 4',
    'turn',
    'answer 5',
  ]);
  expect(seen.at(-1)).toBe('stopped');
});

test('a full queue of 3: the 4th waiting call is refused at once, and the 4 before it get their answers', async () => {
  const underWay: (() => void)[] = [];
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      const calls = draw();
      await new Promise<void>((resolve) => underWay.push(resolve));
      return calls;
    },
    maxBatch: 10,
    lanes: 1,
    maxQueue: 3,
  });
  const accepted = [0, 1, 2, 3].map((call) => batcher.submit(call));
  await expect(batcher.submit(4)).rejects.toBeInstanceOf(QueueFullError);
  underWay[0]?.();
  expect(await accepted[0]).toBe(0);
  await macrotask();
  // Three have left the queue, so there is room again.
  const next = batcher.submit(5);
  underWay[1]?.();
  await macrotask();
  underWay[2]?.();
  expect(await Promise.all([...accepted, next])).toEqual([0, 1, 2, 3, 5]);
});

test('a call that has waited for 8 s is refused when its turn comes, and not worked on; one of 7.9 s is', async () => {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
  const underWay: (() => void)[] = [];
  const batches: (readonly number[])[] = [];
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      const calls = draw();
      batches.push(calls);
      await new Promise<void>((resolve) => underWay.push(resolve));
      return calls;
    },
    maxBatch: 10,
    lanes: 1,
    maxQueue: 10,
    maxWaitMs: 8000,
  });
  const first = batcher.submit(1);
  const gone = batcher.submit(2);
  clock.mockReturnValue(100);
  const patient = batcher.submit(3);
  // Made again, by somebody who has waited from the start.
  const again = batcher.submit(4, 0);
  clock.mockReturnValue(8000);
  underWay[0]?.();
  await expect(gone).rejects.toBeInstanceOf(WaitedTooLongError);
  await expect(again).rejects.toBeInstanceOf(WaitedTooLongError);
  underWay[1]?.();
  expect(await Promise.all([first, patient])).toEqual([1, 3]);
  expect(batches).toEqual([[1], [3]]);
  clock.mockRestore();
});

test('one error of work is the error of each of its calls, the very same; the next batch is none the wiser', async () => {
  const failure = new Error('the database is away');
  let failing = true;
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      await Promise.resolve();
      if (failing) throw failure;
      return draw();
    },
    maxBatch: 2,
    lanes: 1,
    maxQueue: 10,
  });
  const answers = await Promise.allSettled([1, 2].map((call) => batcher.submit(call)));
  expect(answers.map((answer) => answer.status === 'rejected' && answer.reason)).toEqual([failure, failure]);
  failing = false;
  expect(await batcher.submit(3)).toBe(3);
});

test('undefined is a result like any other, and a call whose result is missing is told so', async () => {
  const batcher = createBatcher<string, undefined>({
    work: async (draw) => {
      await Promise.resolve();
      return draw().includes('short') ? [undefined] : [undefined, undefined];
    },
    maxBatch: 2,
    lanes: 1,
    maxQueue: 10,
  });
  expect(await Promise.all([batcher.submit('a'), batcher.submit('b')])).toEqual([undefined, undefined]);
  const [first, second] = await Promise.allSettled([batcher.submit('c'), batcher.submit('short')]);
  expect(first).toEqual({ status: 'fulfilled', value: undefined });
  expect(second).toMatchObject({ status: 'rejected', reason: { message: /fewer results/ } });
});

test('stop of an idle batcher ends at once, twice as well; a call after it is refused and works on nothing', async () => {
  const work = vi.fn<() => Promise<number[]>>(async () => []);
  const batcher = createBatcher<number, number>({ work, maxBatch: 1, lanes: 1, maxQueue: 1 });
  await Promise.all([batcher.stop(), batcher.stop()]);
  await batcher.stop();
  await expect(batcher.submit(1)).rejects.toBeInstanceOf(StoppedError);
  expect(work).not.toHaveBeenCalled();
});

test('stop while 1 batch is under way and 2 wait: it ends after the last answer, not before', async () => {
  const finish: (() => void)[] = [];
  const batcher = createBatcher<number, number>({
    work: async (draw) => {
      const calls = draw();
      await new Promise<void>((resolve) => finish.push(resolve));
      return calls;
    },
    maxBatch: 1,
    lanes: 1,
    maxQueue: 10,
  });
  const answers = [1, 2, 3].map((call) => batcher.submit(call));
  const stops = [batcher.stop(), batcher.stop()];
  for (const [index, answer] of answers.entries()) {
    expect(await isSettled(Promise.race(stops))).toBe(false);
    finish[index]?.();
    expect(await answer).toBe(index + 1);
  }
  await Promise.all(stops);
});
