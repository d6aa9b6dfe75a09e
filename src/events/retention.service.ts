import type { Db } from '../db/types.ts';
import { inBatches } from '../lib/in-batches.ts';
import type { Position } from './position.ts';
import { deleteOldEvents } from './retention.repository.ts';

/** A lock of a few milliseconds each, so that no reader of the log notices. */
const BATCH = 1000;

export interface RetentionDependencies {
  db: Db;
  /** 0: events are kept for ever. */
  days: number;
  /** The place of the slowest outlet, whose events must stay; undefined while no outlet reads. */
  findSlowestOutlet: (db: Db) => Promise<Position | undefined>;
}

export function createEventRetention({ db, days, findSlowestOutlet }: RetentionDependencies) {
  return {
    /** @returns how many events were deleted */
    async purge(isStopping: () => boolean = () => false): Promise<number> {
      if (days === 0) return 0;
      // Outlets only move forward, so a place that is read once holds for the whole run.
      const slowest = await findSlowestOutlet(db);
      return inBatches((limit) => deleteOldEvents(db, days, limit, slowest), BATCH, isStopping);
    },
  };
}
