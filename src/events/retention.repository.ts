import { sql } from 'kysely';

import type { Db } from '../db/types.ts';
import type { Position } from './position.ts';

/** Behind every event of every epoch. */
const LOG_END: Position = {
  epoch: 2_147_483_647,
  transactionId: '18446744073709551615',
  id: Number.MAX_SAFE_INTEGER,
};

/**
 * Deletes at most `limit` of the oldest events that are older than `days`, up to the place that the slowest outlet has
 * read (undefined: no outlet reads). The function belongs to the owner of the log; the service itself may not delete
 * events.
 */
export async function deleteOldEvents(
  db: Db,
  days: number,
  limit: number,
  { epoch, transactionId, id }: Position = LOG_END,
): Promise<number> {
  const { rows } = await sql<{ deleted: number }>`
    select delete_old_events(now() - make_interval(days => ${days}), ${limit}, ${epoch}, ${transactionId}::xid8, ${id})
           as deleted
  `.execute(db);
  return rows[0]?.deleted ?? 0;
}
