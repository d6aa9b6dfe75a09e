import { sql } from 'kysely';

import type { Db, Tx } from '../db/types.ts';
import type { Caller } from '../lib/caller.ts';
import type { Resend } from './delivery.schemas.ts';

const columns = [
  'id',
  'endpoint_id',
  'dead_from as from',
  'dead_to as to',
  'status',
  'resent',
  'version',
  'created_at',
  'finished_at',
] as const;

type ResendRow = Omit<Resend, 'status'> & { status: string };

function rowToResend(row: ResendRow): Resend {
  // Checked by the table.
  return { ...row, status: row.status as Resend['status'] };
}

export type ResendChoice = Pick<Resend, 'endpoint_id' | 'from' | 'to'>;

/** Remembers which dead letters are to be sent again: of those that are there now. */
export async function insertResend(
  tx: Tx,
  { endpoint_id, from, to }: ResendChoice,
  { actor, requestId }: Caller,
): Promise<Resend> {
  const row = await tx
    .insertInto('dead_letter_resends')
    .values({
      endpoint_id,
      dead_from: from,
      dead_to: to,
      max_id: sql<number>`(select coalesce(max(id), 0) from webhook_deliveries)`,
      actor,
      request_id: requestId,
    })
    .returning(columns)
    .executeTakeFirstOrThrow();
  return rowToResend(row);
}

export async function findResend(db: Db, id: number): Promise<Resend | undefined> {
  const row = await db
    .selectFrom('dead_letter_resends')
    .select(columns)
    .where('id', '=', id)
    .executeTakeFirst();
  return row && rowToResend(row);
}

export interface RunningResend extends ResendChoice {
  readonly id: number;
  readonly max_id: number;
  readonly last_id: number;
}

/** The oldest job that is not done and that no other instance works on. */
export async function claimResend(tx: Tx): Promise<RunningResend | undefined> {
  return tx
    .selectFrom('dead_letter_resends')
    .select(['id', 'endpoint_id', 'dead_from as from', 'dead_to as to', 'max_id', 'last_id'])
    .where('status', '=', 'running')
    .orderBy('id')
    .limit(1)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
}

/** Begins new series of tries. @returns the ids of the deliveries */
export async function restartDeadLetters(
  tx: Tx,
  { endpoint_id, from, to, max_id, last_id }: RunningResend,
  limit: number,
): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`
    update webhook_deliveries
       set status = 'pending', tries = 0, due_at = now(), settled_at = null
     where id in (
       select id from webhook_deliveries
        where status = 'dead' and id > ${last_id} and id <= ${max_id}
          and (${endpoint_id}::bigint is null or endpoint_id = ${endpoint_id})
          and (${from}::timestamptz is null or settled_at >= ${from})
          and (${to}::timestamptz is null or settled_at < ${to})
        order by id limit ${limit} for update
     )
    returning id
  `.execute(tx);
  return rows.map(({ id }) => id);
}

/** @param lastId where to go on; undefined when all is done */
export async function moveResend(
  tx: Tx,
  { id, last_id }: RunningResend,
  { resent, lastId }: { resent: number; lastId: number | undefined },
): Promise<void> {
  await tx
    .updateTable('dead_letter_resends')
    .set({
      resent: sql`resent + ${resent}`,
      last_id: lastId ?? last_id,
      version: sql`version + 1`,
      ...(lastId === undefined ? { status: 'done', finished_at: sql`now()` } : {}),
    })
    .where('id', '=', id)
    .execute();
}
