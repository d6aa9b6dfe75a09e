import type { Scheduler } from 'fast-check';
import { expect } from 'vitest';

import {
  type Batcher,
  type BatcherOptions,
  createBatcher,
  QueueFullError,
  StoppedError,
} from '../../src/lib/batcher.ts';

/** What one trip does with its batch. */
export const trips = [
  'answers',
  'answers at once',
  'refuses every other call',
  'throws before the draw',
  'throws at once',
  'throws after the draw',
  'returns too few',
  'returns nothing, having drawn nothing',
] as const;

type Trip = (typeof trips)[number];

type Outcome = { result: number } | { error: unknown };

interface WatchedCall {
  accepted: boolean;
  /** Refused because it came after a stop. */
  late: boolean;
  /** In which trip it was drawn. */
  trip?: number;
  outcomes: Outcome[];
}

/**
 * A batcher beside a model of its queue. The model checks, whenever a call comes and whenever a batch is drawn, that
 * what happens is what the batcher promises; its trips do what a script says, step by step in the scheduler's order.
 */
export function watchedBatcher(
  scheduler: Scheduler,
  shape: Pick<BatcherOptions<number, number>, 'maxBatch' | 'lanes' | 'maxQueue' | 'answersPerTurn'>,
  script: readonly Trip[],
) {
  const calls: WatchedCall[] = [];
  /** Accepted and not drawn, in the order of arrival. */
  let waiting: number[] = [];
  const kinds: Trip[] = [];
  let underWay = 0;
  let waitingToDraw = 0;
  let stops = 0;
  /** What was left to do, and who had no answer, when each stop ended. */
  const stopsEnded: { underWay: number; unanswered: number }[] = [];

  const batcher: Batcher<number, number> = createBatcher({
    ...shape,
    async work(draw) {
      const trip = kinds.length;
      const kind = script[trip] ?? 'answers';
      kinds.push(kind);
      underWay++;
      waitingToDraw++;
      expect(underWay).toBeLessThanOrEqual(shape.lanes);
      expect(waitingToDraw).toBe(1);
      try {
        return await run(kind, draw);
      } finally {
        underWay--;
      }
    },
    onBatch(size) {
      // Called with each draw, also with the one that follows a trip that has drawn nothing.
      const trip = kinds.length - 1;
      expect(size).toBe(Math.min(shape.maxBatch, waiting.length));
      for (const call of waiting.slice(0, size)) (calls[call] as WatchedCall).trip = trip;
      waiting = waiting.slice(size);
      waitingToDraw--;
    },
  });

  /** A call never waits beside a lane that is free, unless another lane is about to draw it. */
  function expectNoFreeLaneBesideWaiting(): void {
    if (waiting.length > 0 && underWay < shape.lanes) expect(waitingToDraw).toBe(1);
  }

  async function run(kind: Trip, draw: () => readonly number[]): Promise<(number | Error)[]> {
    if (kind === 'throws at once') throw new Error(kind);
    if (kind === 'answers at once') return draw().map(answerOf);
    await scheduler.schedule(Promise.resolve(), 'its turn');
    if (kind === 'throws before the draw') throw new Error(kind);
    if (kind === 'returns nothing, having drawn nothing') return [];
    const expected = waiting.slice(0, shape.maxBatch);
    const batch = draw();
    // Whoever has come by now, and nobody out of order.
    expect(batch).toEqual(expected);
    expectNoFreeLaneBesideWaiting();
    await scheduler.schedule(Promise.resolve(), 'its work');
    if (kind === 'throws after the draw') throw new Error(kind);
    if (kind === 'returns too few') return batch.slice(1).map(answerOf);
    if (kind === 'answers') return batch.map(answerOf);
    return batch.map((call) => (call % 2 === 0 ? answerOf(call) : new Error(`call ${call}`)));
  }

  return {
    submit(): void {
      const id = calls.length;
      const mayWait = stops === 0 && waiting.length < shape.maxQueue;
      const call: WatchedCall = { accepted: mayWait, late: stops > 0, outcomes: [] };
      calls.push(call);
      if (mayWait) waiting.push(id);
      batcher.submit(id).then(
        (result) => call.outcomes.push({ result }),
        (error: unknown) => call.outcomes.push({ error }),
      );
      expectNoFreeLaneBesideWaiting();
    },

    stop(): void {
      stops++;
      batcher.stop().then(noteEnd, noteEnd);
    },

    stops: () => stops,
    stopsEnded,
    left: () => ({ underWay, waitingToDraw, waiting: waiting.length }),
    /** Of each call, what it was answered: once, if all is well. */
    outcomes: () => calls.map(({ outcomes }) => outcomes),
    expectedOutcomes: () => calls.map((call, id) => [expectedOutcome(id, call)]),
  };

  function noteEnd(): void {
    const unanswered = calls.filter(({ outcomes }) => outcomes.length === 0);
    stopsEnded.push({ underWay, unanswered: unanswered.length });
  }

  function expectedOutcome(id: number, call: WatchedCall): unknown {
    if (call.late) return { error: expect.any(StoppedError) };
    if (!call.accepted) return { error: expect.any(QueueFullError) };
    const kind = kinds[call.trip as number] as Trip;
    const fewer = { error: expect.objectContaining({ message: expect.stringContaining('fewer results') }) };
    switch (kind) {
      case 'answers':
      case 'answers at once':
        return { result: answerOf(id) };
      case 'refuses every other call':
        return id % 2 === 0 ? { result: answerOf(id) } : { error: new Error(`call ${id}`) };
      case 'returns too few': {
        const batch = calls.flatMap(({ trip }, other) => (trip === call.trip ? [other] : []));
        const answered = batch[batch.indexOf(id) + 1];
        return answered === undefined ? fewer : { result: answerOf(answered) };
      }
      case 'returns nothing, having drawn nothing':
        return fewer;
      case 'throws at once':
      case 'throws before the draw':
      case 'throws after the draw':
      default:
        return { error: new Error(kind) };
    }
  }
}

function answerOf(call: number): number {
  return 1000 + call;
}
