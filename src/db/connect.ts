import { sql } from 'kysely';

import { unavailable } from '../lib/errors.ts';
import { StartupError } from '../lib/startup-error.ts';
import { createDatabase, type Database, type DatabaseOptions } from './database.ts';
import { migrateToLatest, pendingMigrations } from './migrate.ts';
import { sqlStateOf } from './pg-errors.ts';
import type { Db } from './types.ts';

/** The oldest PostgreSQL that has all we use (xid8 and pg_xact_status came with 13), as server_version_num has it. */
const OLDEST_VERSION_NUM = 140_000;

/** What PgBouncer says to a client that takes it for PostgreSQL. */
const PGBOUNCER_REFUSAL = /unsupported startup parameter/;

/**
 * Migrates the database, on a connection of its own that has no timeouts: an instance that starts beside another one
 * waits here until that one has migrated.
 * @throws StartupError when the database cannot be reached or is too old
 * @returns the names of the migrations that were run
 */
export async function migrateDatabase(
  options: Omit<DatabaseOptions, 'poolSize' | 'forMigrations'>,
): Promise<string[]> {
  const { db, close } = createDatabase({ ...options, poolSize: 1, forMigrations: true });
  try {
    await requireDatabase(db, options.url);
    return await migrateToLatest(db);
  } finally {
    await close();
  }
}

async function requireDatabase(db: Db, url: string): Promise<void> {
  let version: number;
  try {
    const { rows } = await sql<{ version: number }>`
      select current_setting('server_version_num')::int as version
    `.execute(db);
    version = rows[0]?.version ?? 0;
  } catch (error) {
    const { hostname, port } = new URL(url);
    const where = hostname === '' ? 'of DATABASE_URL' : `at ${hostname}:${port || 5432}`;
    const reason = reasonOf(error);
    const remedy = PGBOUNCER_REFUSAL.test(reason)
      ? 'This is PgBouncer: Set DATABASE_PGBOUNCER=true.'
      : 'Check DATABASE_URL, or leave it unset to run on the embedded PostgreSQL.';
    throw new StartupError(`The database ${where} cannot be used (${reason}). ${remedy}`);
  }
  if (version < OLDEST_VERSION_NUM) {
    throw new StartupError(`PostgreSQL ${Math.floor(version / 10_000)} is too old: 14 or newer is needed.`);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return error instanceof Error && error.message !== '' ? error.message : sqlStateOf(error);
}

/**
 * Whether this instance can serve: the database answers, and has run every migration that this version knows.
 * @throws AppError service_unavailable, with the reason as its cause
 */
export async function requireReady({ db }: Database): Promise<void> {
  try {
    const pending = await pendingMigrations(db);
    if (pending > 0) throw new Error(`${pending} migrations are pending`);
  } catch (error) {
    throw unavailable('The database is not ready', error);
  }
}
