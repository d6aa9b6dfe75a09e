import type { Db } from '../db/types.ts';
import { inBatches } from '../lib/in-batches.ts';
import { deleteKeysOlderThan } from './idempotency.repository.ts';

/** Kept for 24 hours at least; the purge that runs every few minutes adds little to that. */
const KEPT_HOURS = 24;
/** Small enough that a purge never holds its locks for long. */
const PURGE_BATCH = 1000;

/** Forgets every key past its time. @returns how many */
export function purgeKeys(db: Db, isStopping: () => boolean = () => false): Promise<number> {
  return inBatches((limit) => deleteKeysOlderThan(db, KEPT_HOURS, limit), PURGE_BATCH, isStopping);
}
