import { setTimeout as sleep } from 'node:timers/promises';

import type { Reports } from '../db/reports.ts';
import { createBatcher, StoppedError } from '../lib/batcher.ts';
import { unavailable } from '../lib/errors.ts';
import type { AuditMetrics } from './audit.metrics.ts';
import type { InventoryAudit } from './audit.ts';
import { auditInventory } from './audit.repository.ts';

/*
 * The audit reads every product, movement and open order, so it is the one call whose time grows with the data.
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

export type AuditService = ReturnType<typeof createAuditService>;

export interface AuditServiceDependencies {
  reports: Reports;
  metrics: AuditMetrics;
  callerWaitMs?: number;
}

export function createAuditService(dependencies: AuditServiceDependencies) {
  const { reports, metrics, callerWaitMs = CALLER_WAIT_MS } = dependencies;
  let stopping = false;

  async function run(): Promise<InventoryAudit> {
    const audit = await auditInventory(reports.db, LISTED_MAX);
    metrics.inventoryDrift.set(audit.drift_units);
    metrics.inventoryAuditedAt.set(Date.parse(audit.checked_at) / 1000);
    return audit;
  }

  const batcher = createBatcher<undefined, InventoryAudit>({
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
    async audit(): Promise<InventoryAudit> {
      const answered = new AbortController();
      const tooLong = sleep(callerWaitMs, undefined, { signal: answered.signal }).then(() => {
        const detail = `The audit takes longer than ${callerWaitMs / 1000} s; it goes on, and its outcome will be in the metric inventory_drift_units`;
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
