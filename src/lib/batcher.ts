import { setImmediate as nextTurn } from 'node:timers/promises';

import { createDeferred, type Deferred } from './deferred.ts';
import { AppError } from './errors.ts';

/*
 * Calls that arrive while the database is busy share the next trip.
 *
 * Calls queue; when a lane is ready it draws everything that is queued, up to a limit, and works on it as one batch.
 * These always hold:
 *
 * - There is no timer: a call that finds a lane free is a batch of one and waits for nothing. Batches grow by
 *   themselves, because more calls queue while a lane is busy.
 * - Calls are drawn in the order of their arrival, and at most `maxBatch` at a time.
 * - At most `lanes` batches are under way, and at most one lane is waiting to draw. A lane draws when it is ready to
 *   work, not when it is woken, so calls that arrive while it waits for its turn still join.
 * - Each call gets its own result or its own error, once. When a lane fails, the calls that it drew get the failure;
 *   if it had drawn none, those that it would have drawn do. No call is lost and none is left waiting.
 * - A lane is free as soon as its work is done, while its calls are still being answered.
 * - At most `maxQueue` calls wait; the next one is refused at once.
 * - A call that has waited for `maxWaitMs` is refused instead of drawn: its caller has given up, and may have sent it
 *   again.
 * - `stop` refuses new calls and resolves when every queued one has its answer.
 */
export interface BatcherOptions<Call, Result> {
  /**
   * Works on one batch. `draw` is called once, when the work can start; the results stand in the order of the calls
   * that it returned, an Error where a call is refused.
   */
  work: (draw: () => readonly Call[]) => Promise<readonly (Result | Error)[]>;
  maxBatch: number;
  lanes: number;
  maxQueue: number;
  /** How long a caller waits for an answer; without it, calls wait for ever. */
  maxWaitMs?: number;
  /**
   * After this many answers, the event loop turns to other work that has come in. Answering a call takes longer than
   * sending a statement, and the next batch's statement would wait behind all the answers of this one. Without it, all
   * calls are answered at once.
   */
  answersPerTurn?: number;
  /** Called for each batch with its number of calls and the wait of the first of them, in milliseconds. */
  onBatch?: (size: number, waitedMs: number) => void;
}

export interface Batcher<Call, Result> {
  /**
   * @param since when the caller began to wait, for a call that is tried again
   * @throws QueueFullError, StoppedError, WaitedTooLongError, the error that `work` threw, or the call's own error
   */
  submit(call: Call, since?: number): Promise<Result>;
  stop(): Promise<void>;
}

/** The queue is full; nothing was done for this call. */
export class QueueFullError extends AppError {
  constructor() {
    super('service_unavailable', 'Too many requests are waiting, try again', RETRY_SOON);
  }
}

/** The call waited past its time; nothing was done for it. */
export class WaitedTooLongError extends AppError {
  constructor() {
    super('service_unavailable', 'The request took too long, try again', RETRY_SOON);
  }
}

/** The batcher has stopped; nothing was done for this call. */
export class StoppedError extends AppError {
  constructor() {
    super('service_unavailable', 'The service is stopping', RETRY_SOON);
  }
}

const RETRY_SOON = { headers: { 'retry-after': '1' } };

interface Waiting<Call, Result> {
  call: Call;
  since: number;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

export function createBatcher<Call, Result>(options: BatcherOptions<Call, Result>): Batcher<Call, Result> {
  const { work, maxBatch, lanes, maxQueue, maxWaitMs = Number.POSITIVE_INFINITY, onBatch } = options;
  const { answersPerTurn = Number.POSITIVE_INFINITY } = options;
  const queue: Waiting<Call, Result>[] = [];
  let busyLanes = 0;
  /** Batches whose calls are being answered. */
  let answering = 0;
  let laneWaitsToDraw = false;
  /** Resolved when the last call has its answer. */
  let stopped: Deferred | undefined;

  function wakeLane(): void {
    if (queue.length === 0 && busyLanes === 0 && answering === 0) stopped?.resolve();
    if (queue.length === 0 || laneWaitsToDraw || busyLanes >= lanes) return;
    laneWaitsToDraw = true;
    busyLanes++;
    void runLane().finally(() => {
      busyLanes--;
      wakeLane();
    });
  }

  async function runLane(): Promise<void> {
    let batch: Waiting<Call, Result>[] | undefined;
    const drawBatch = () => {
      if (batch === undefined) {
        const now = performance.now();
        batch = takeBatch(queue, now, { maxBatch, maxWaitMs });
        laneWaitsToDraw = false;
        if (batch[0] !== undefined) onBatch?.(batch.length, now - batch[0].since);
        wakeLane();
      }
      return batch;
    };
    try {
      const results = await work(() => drawBatch().map(({ call }) => call));
      answering++;
      void settle(drawBatch(), results, answersPerTurn).finally(() => {
        answering--;
        wakeLane();
      });
    } catch (error) {
      for (const { reject } of drawBatch()) reject(error);
    }
  }

  return {
    submit(call, since = performance.now()) {
      if (stopped !== undefined) return Promise.reject(new StoppedError());
      if (queue.length >= maxQueue) return Promise.reject(new QueueFullError());
      return new Promise((resolve, reject) => {
        queue.push({ call, since, resolve, reject });
        wakeLane();
      });
    },
    async stop() {
      if (stopped === undefined) {
        stopped = createDeferred();
        wakeLane();
      }
      await stopped.promise;
    },
  };
}

/** Takes calls from the front of the queue, and refuses those that have waited too long. */
function takeBatch<Call, Result>(
  queue: Waiting<Call, Result>[],
  now: number,
  { maxBatch, maxWaitMs }: { maxBatch: number; maxWaitMs: number },
): Waiting<Call, Result>[] {
  const batch: Waiting<Call, Result>[] = [];
  let taken = 0;
  for (const waiting of queue) {
    if (batch.length === maxBatch) break;
    taken++;
    if (now - waiting.since < maxWaitMs) batch.push(waiting);
    else waiting.reject(new WaitedTooLongError());
  }
  queue.splice(0, taken);
  return batch;
}

async function settle<Call, Result>(
  batch: readonly Waiting<Call, Result>[],
  results: readonly (Result | Error)[],
  answersPerTurn: number,
): Promise<void> {
  for (const [index, { resolve, reject }] of batch.entries()) {
    if (index > 0 && index % answersPerTurn === 0) await nextTurn();
    const result = results[index];
    if (result instanceof Error) reject(result);
    else if (index < results.length) resolve(result as Result);
    else reject(new Error('the work returned fewer results than it drew calls'));
  }
}
