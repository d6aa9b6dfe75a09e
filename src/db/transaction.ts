import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';

import { serverRunSql } from './driver/server-run.ts';
import { CommitUncertainError, isConnectionLoss, isRetryable } from './pg-errors.ts';
import type { Db, Tx } from './types.ts';

/*
 * The only way to a transaction. What it keeps:
 *
 * - It returns only when PostgreSQL has said COMMIT, or has said afterwards that this transaction committed.
 * - A deadlock or serialization failure stores nothing, so the work is run again, a bounded number of times.
 * - A connection lost during COMMIT is never retried blindly: a new connection asks for the fate of the transaction's
 *   id. Committed: the result that was computed stands. Aborted: the work is run again. Not to be known: the error goes
 *   on and becomes a 503, and the caller's Idempotency-Key settles it. After a crash of PostgreSQL, `committed` may be
 *   said of another transaction that was given the same id, so it counts only within the same run of the server.
 *
 * So `work` may run more than once: it must do nothing but talk to its transaction.
 */

/** Deadlocks need two at the same rows at the same time; after three tries the database is in trouble. */
const TRIES_MAX = 4;
/** As long as a request may wait at all (the ladder in database.ts), less what it has used already. */
const SETTLE_MS = 4000;
const SETTLE_PAUSE_MS = 100;

/**
 * @param settleOn where to ask for the fate of a transaction, when `db` is a single connection that may be lost
 */
export async function inTransaction<T>(db: Db, work: (tx: Tx) => Promise<T>, settleOn: Db = db): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const outcome: { result?: T } = {};
    try {
      return await db.transaction().execute(async (tx) => {
        outcome.result = await work(tx);
        return outcome.result;
      });
    } catch (error) {
      if (error instanceof CommitUncertainError) {
        const committed = await committedAfterAll(settleOn, error);
        // work() had returned before COMMIT was sent, so the result is there.
        if (committed) return outcome.result as T;
      } else if (!isRetryable(error)) {
        throw error;
      }
      if (attempt >= TRIES_MAX) throw error;
      // Spread the contenders: those that met once would meet again.
      await sleep(Math.random() * 10 * attempt);
    }
  }
}

/** From here to its end, the transaction waits no longer than this for each lock. */
export async function limitLockWait(tx: Tx, milliseconds: number): Promise<void> {
  await sql`set local lock_timeout = ${sql.lit(milliseconds)}`.execute(tx);
}

/** What became of a transaction whose COMMIT was not answered. Throws the given error when that cannot be known. */
async function committedAfterAll(db: Db, uncertain: CommitUncertainError): Promise<boolean> {
  const { transaction } = uncertain;
  const giveUpAt = Date.now() + SETTLE_MS;
  do {
    try {
      const { rows } = await sql<{ status: string | null; run: string | null }>`
        select pg_xact_status(${transaction.id}::xid8) as status, ${sql.raw(serverRunSql)} as run
      `.execute(db);
      const { status, run = null } = rows[0] ?? {};
      if (status === 'committed' && run !== null && run === transaction.serverRun) return true;
      if (status === 'aborted') return false;
      // null: too old to be known; never so within seconds, and then a person must look.
      if (status !== 'in progress') throw uncertain;
    } catch (error) {
      if (error === uncertain || !isConnectionLoss(error)) throw uncertain;
    }
    await sleep(SETTLE_PAUSE_MS);
  } while (Date.now() < giveUpAt);
  throw uncertain;
}
