import { timingSafeEqual } from 'node:crypto';

import { isLockTimeout } from '../db/pg-errors.ts';
import type { Tx } from '../db/types.ts';
import { AppError } from '../lib/errors.ts';
import { findKey, insertKey, type KeyRow, updateKeyResponse } from './idempotency.repository.ts';
import type { IdempotencyKey } from './key.ts';

/*
 * A key is applied at most once because its row is inserted in the same transaction as the work, and can be inserted once:
 *
 * - The work and the row commit together, so a crash leaves both or neither.
 * - A second caller with the same key waits on the first one's row, and then finds its answer; past lock_timeout it
 *   gets 409 with Retry-After.
 * - A refusal or an error rolls the row back with the work, so the key can be tried again.
 */

export interface Once<T> {
  result: T;
  /** The result is the answer that was given to the key before. */
  replayed: boolean;
}

/**
 * Runs `work` once for a key and stores its result, which must survive JSON unchanged; without a key it just runs.
 * @throws AppError idempotency_key_reused when the key stands for another command
 */
export async function runOnce<T>(
  tx: Tx,
  idempotencyKey: IdempotencyKey | undefined,
  status: number,
  work: () => Promise<T>,
): Promise<Once<T>> {
  if (idempotencyKey === undefined) return { result: await work(), replayed: false };
  const { scope, key } = idempotencyKey;
  if (!(await claim(tx, idempotencyKey))) {
    const row = await findKey(tx, scope, key);
    // Purged between the two statements: as good as a caller that came at the same moment.
    if (row === undefined) throw keyInProgress();
    const replay = replayOf<T>(idempotencyKey, row);
    if (replay instanceof AppError) throw replay;
    return replay;
  }
  const result = await work();
  await updateKeyResponse(tx, scope, key, status, result);
  return { result, replayed: false };
}

async function claim(tx: Tx, { scope, key, fingerprint }: IdempotencyKey): Promise<boolean> {
  try {
    return await insertKey(tx, scope, key, fingerprint);
  } catch (error) {
    if (isLockTimeout(error)) throw keyInProgress(error);
    throw error;
  }
}

/** The answer that is stored for a key, or the refusal of a key that stands for another command. */
export function replayOf<T>({ fingerprint }: IdempotencyKey, row: KeyRow): Once<T> | AppError {
  if (!timingSafeEqual(row.fingerprint, fingerprint)) {
    return new AppError('idempotency_key_reused', 'This Idempotency-Key was used for another command');
  }
  // What was stored for the same command.
  return { result: row.response as T, replayed: true };
}

/** The first caller with this key has not committed within lock_timeout. */
export function keyInProgress(cause?: unknown): AppError {
  return new AppError('idempotency_key_in_progress', 'The first call with this Idempotency-Key still runs', {
    headers: { 'retry-after': '1' },
    cause,
  });
}
