import { sql } from 'kysely';

import { unavailable } from '../lib/errors.ts';
import { StartupError } from '../lib/startup-error.ts';
import { type Database, type DatabaseOptions, openForMigrations } from './database.ts';
import { parseDatabaseUrl } from './database-url.ts';
import { findReadiness, knownMigrations, type Migrated, migrateToLatest, openEventLog } from './migrate.ts';
import { sqlStateOf } from './pg-errors.ts';
import type { Db } from './types.ts';

/** The oldest PostgreSQL that has all we use (xid8 and pg_xact_status came with 13), as server_version_num has it. */
const OLDEST_VERSION_NUM = 140_000;

/** What PgBouncer says to a client that takes it for PostgreSQL. */
const PGBOUNCER_REFUSAL = /unsupported startup parameter/;

/**
 * Migrates the database, on a connection of its own that has no timeouts: an instance that starts beside another one
 * waits here until that one has migrated.
 * @throws StartupError when the database cannot be reached or used
 */
export async function migrateDatabase(
  options: Omit<DatabaseOptions, 'poolSize' | 'forMigrations'>,
): Promise<Migrated> {
  const db = openForMigrations(options);
  try {
    await requireDatabase(db, options.url);
    const migrated = await migrateToLatest(db);
    await openEventLog(db);
    return migrated;
  } finally {
    await db.destroy();
  }
}

async function requireDatabase(db: Db, url: string): Promise<void> {
  const { version, encoding, name } = await describeDatabase(db, url);
  if (version < OLDEST_VERSION_NUM) {
    throw new StartupError(`PostgreSQL ${Math.floor(version / 10_000)} is too old: 14 or newer is needed.`);
  }
  if (encoding !== 'UTF8') {
    throw new StartupError(
      `The database ${name} is encoded in ${encoding}, which cannot hold every text: create one with encoding 'UTF8' (template template0).`,
    );
  }
}

async function describeDatabase(db: Db, url: string) {
  try {
    const { rows } = await sql<{ version: number; encoding: string; name: string }>`
      select current_setting('server_version_num')::int as version,
             current_setting('server_encoding') as encoding, current_database() as name
    `.execute(db);
    // A select of functions has one row.
    return rows[0] as (typeof rows)[number];
  } catch (error) {
    const { host = '', port = 5432 } = parseDatabaseUrl(url);
    const where = host === '' || host.startsWith('/') ? 'of DATABASE_URL' : `at ${host}:${port}`;
    const reason = reasonOf(error);
    const remedy = PGBOUNCER_REFUSAL.test(reason)
      ? 'This is PgBouncer: Set DATABASE_PGBOUNCER=true.'
      : 'Check DATABASE_URL, or leave it unset to run on the embedded PostgreSQL.';
    throw new StartupError(`The database ${where} cannot be used (${reason}). ${remedy}`);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return error instanceof Error && error.message !== '' ? error.message : sqlStateOf(error);
}

/**
 * Whether this instance can serve: the database answers, has run every migration that this version knows, and lets the
 * service draw ids. Asked on a connection of its own, which no request can keep busy.
 * @throws AppError service_unavailable, with the reason as its cause
 */
export async function requireReady({ probe }: Pick<Database, 'probe'>): Promise<void> {
  try {
    const known = await knownMigrations();
    const { executed, forbiddenSequences } = await findReadiness(probe);
    const pending = known.filter((name) => !executed.includes(name));
    if (pending.length > 0) throw new Error(`${pending.length} migrations are pending`);
    if (forbiddenSequences.length > 0) {
      throw new Error(`the role may not use the sequences ${forbiddenSequences.join(', ')}`);
    }
  } catch (error) {
    throw unavailable('The database is not ready', error);
  }
}
