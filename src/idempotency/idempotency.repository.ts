import { sql } from 'kysely';

import { type ConstraintErrors, LostRaceError } from '../db/pg-errors.ts';
import type { Db, Tx } from '../db/types.ts';
import { keyId, type KeyName } from './key.ts';

/** For statements that insert keys without ON CONFLICT: another transaction has stored one of them since `findKeys`. */
export const KEY_VIOLATIONS: ConstraintErrors = {
  idempotency_keys_pkey: (cause) => new LostRaceError(cause),
};

/** The stored answers of those of the keys that have one, by `keyId`. */
export async function findKeys(tx: Tx, keys: readonly KeyName[]): Promise<Map<string, KeyRow>> {
  if (keys.length === 0) return new Map();
  const { rows } = await sql<KeyName & KeyRow>`
    select scope, key, fingerprint, response
      from idempotency_keys
     where (scope, key) in (
       select * from unnest(${keys.map(({ scope }) => scope)}::text[], ${keys.map(({ key }) => key)}::text[])
     )
  `.execute(tx);
  return new Map(rows.map((row) => [keyId(row), row]));
}

export interface KeyRow {
  fingerprint: Buffer;
  response: unknown;
}

/**
 * Claims a key. A second transaction with the same key waits here, on the unique index, until the first has committed
 * or rolled back (lock_timeout at most).
 * @returns false when the key was claimed before
 */
export async function insertKey(tx: Tx, scope: string, key: string, fingerprint: Buffer): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('idempotency_keys')
    .values({ scope, key, fingerprint })
    .onConflict((conflict) => conflict.columns(['scope', 'key']).doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

export async function findKey(tx: Tx, scope: string, key: string): Promise<KeyRow | undefined> {
  return tx
    .selectFrom('idempotency_keys')
    .select(['fingerprint', 'response'])
    .where('scope', '=', scope)
    .where('key', '=', key)
    .executeTakeFirst();
}

export async function updateKeyResponse(
  tx: Tx,
  scope: string,
  key: string,
  status: number,
  response: unknown,
): Promise<void> {
  await tx
    .updateTable('idempotency_keys')
    .set({ status, response: JSON.stringify(response) })
    .where('scope', '=', scope)
    .where('key', '=', key)
    .execute();
}

/** Deletes at most `limit` keys that are older than `hours`. */
export async function deleteKeysOlderThan(db: Db, hours: number, limit: number): Promise<number> {
  const { rows } = await sql`
    delete from idempotency_keys
     where (scope, key) in (
       select scope, key from idempotency_keys
        where created_at < now() - make_interval(hours => ${hours})
        order by created_at
        limit ${limit}
        for update skip locked
     )
    returning 1
  `.execute(db);
  return rows.length;
}
