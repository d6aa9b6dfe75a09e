import { setTimeout as sleep } from 'node:timers/promises';

import type { Reports } from '../db/reports.ts';
import { createBatcher, StoppedError } from '../lib/batcher.ts';
import { unavailable } from '../lib/errors.ts';
import type { Db } from '../db/types.ts';

/*
 * An audit reads every row of what it is about, so it is the one call whose time grows with the data.
 *
 * - One run at a time, on a connection of its own: orders never wait for it. Callers that ask while one runs share
 *   the next, so that every answer is of a moment after its question.
 * - A run may take 30 s (db/database.ts). A caller waits for less, because a request must be answered; the run goes on
 *   without it and its outcome is in the metrics.
 */

/** Below the 8 s of a request (the ladder in db/database.ts), so that it is this answer that the caller gets. */
const CALLER_WAIT_MS = 6000;
/** After a run that took too long, the next is no faster: it is not for a caller to try at once. */
const RETRY_AFTER_S = 60;
const LISTED_MAX = 1000;
/** They hold no connection while they wait. */
const CALLERS_MAX = 1000;

export type AuditService<Audit> = ReturnType<typeof createAuditService<Audit>>;

export interface AuditServiceDependencies<Audit> {
  reports: Reports;
  /** Reads everything, and lists no more drifts than this. */
  read: (db: Db, listed: number) => Promise<Audit>;
  /** Shows the outcome in metrics. */
  show: (audit: Audit) => void;
  /** The metric that shows it. */
  metricName: string;
  callerWaitMs?: number;
}

export function createAuditService<Audit>(dependencies: AuditServiceDependencies<Audit>) {
  const { reports, read, show, metricName, callerWaitMs = CALLER_WAIT_MS } = dependencies;
  let stopping = false;

  async function run(): Promise<Audit> {
    const audit = await read(reports.db, LISTED_MAX);
    show(audit);
    return audit;
  }

  const batcher = createBatcher<undefined, Audit>({
    async work(draw) {
      const calls = draw();
      if (stopping) throw new StoppedError();
      const audit = await run();
      return calls.map(() => audit);
    },
    maxBatch: CALLERS_MAX,
    lanes: 1,
    maxQueue: CALLERS_MAX,
  });

  return {
    /** @throws AppError service_unavailable when it takes longer than a caller may wait */
    async audit(): Promise<Audit> {
      const answered = new AbortController();
      const tooLong = sleep(callerWaitMs, undefined, { signal: answered.signal }).then(() => {
        const detail = `The audit takes longer than ${callerWaitMs / 1000} s; it goes on, and its outcome will be in the metric ${metricName}`;
        throw unavailable(detail, undefined, RETRY_AFTER_S);
      });
      try {
        return await Promise.race([batcher.submit(undefined), tooLong]);
      } finally {
        answered.abort();
        await tooLong.catch(() => undefined);
      }
    },

    /** Brings the metrics up to date, however long it takes. */
    async refresh(): Promise<void> {
      try {
        await batcher.submit(undefined);
      } catch (error) {
        // Ended by stop(), which is no news.
        if (!stopping) throw error;
      }
    },

    /** Ends a run that is under way; its callers get its failure. */
    async stop(): Promise<void> {
      stopping = true;
      const stopped = batcher.stop();
      reports.abort();
      await stopped;
    },
  };
}
