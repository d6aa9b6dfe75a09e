import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

import { type Kysely, type Migration, type MigrationProvider, Migrator, sql } from 'kysely';

import { StartupError } from '../lib/startup-error.ts';
import { migrationsDir } from './paths.ts';
import type { Db } from './types.ts';

/** Migrations are plain SQL files, run in the order of their names, each once, all in one transaction. */
class SqlFileProvider implements MigrationProvider {
  async getMigrations(): Promise<Record<string, Migration>> {
    const files = (await readdir(migrationsDir)).filter((name) => name.endsWith('.sql')).toSorted();
    const entries = files.map(async (file) => {
      const text = await readFile(path.join(migrationsDir, file), 'utf8');
      return [path.basename(file, '.sql'), { up: (db: Kysely<unknown>) => run(db, text) }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }
}

async function run(db: Kysely<unknown>, text: string): Promise<void> {
  await sql.raw(text).execute(db);
}

/** The names of all migrations that this version brings along; they are files of the product and do not change. */
export async function knownMigrations(): Promise<readonly string[]> {
  known ??= Object.keys(await new SqlFileProvider().getMigrations());
  return known;
}

let known: readonly string[] | undefined;

/**
 * Gives the event log a new epoch when it was restored into another cluster (0011). It has to come after the migrations
 * and before anything is written; its transaction waits for the lock of the migrations, so one instance does it.
 */
export async function openEventLog(db: Db): Promise<void> {
  await db.transaction().execute((tx) => sql`select open_event_log()`.execute(tx));
}

export interface Migrated {
  /** The migrations that this call ran. */
  migrated: string[];
  /** Those that the database has run and this version does not know: a newer version was here. */
  newer: string[];
}

/**
 * Brings the schema up to date. Many instances may call it at once on one empty database: one of them works while
 * the others wait (`openForMigrations` in database.ts).
 *
 * A database that a newer version has migrated is left as it is: during a rolling deployment, or after a way back, this
 * version serves beside it.
 */
export async function migrateToLatest(db: Db): Promise<Migrated> {
  const before = await findPending(db);
  if (before.pending.length === 0) return { migrated: [], newer: before.newer };
  const { error, results = [] } = await new Migrator({
    db,
    provider: new SqlFileProvider(),
  }).migrateToLatest();
  if (error === undefined) return { migrated: results.map(({ migrationName }) => migrationName), newer: [] };
  // A newer version may have been first, while this call waited for it.
  const after = await findPending(db).catch(() => before);
  if (after.pending.length === 0) return { migrated: [], newer: after.newer };
  const failed = results.find(({ status }) => status === 'Error')?.migrationName;
  const reason = error instanceof Error ? error.message : 'no reason given';
  throw new StartupError(`The migration ${failed ?? 'of the database'} failed: ${reason}.`);
}

async function findPending(db: Db): Promise<{ pending: string[]; newer: string[] }> {
  const names = await knownMigrations();
  const { rows } = await sql<{ found: boolean }>`
    select to_regclass('kysely_migration') is not null as found
  `.execute(db);
  const executed = rows[0]?.found === true ? await listExecuted(db) : [];
  return {
    pending: names.filter((name) => !executed.includes(name)),
    newer: executed.filter((name) => !names.includes(name)),
  };
}

async function listExecuted(db: Db): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
}

/** The sequences that statements draw ids from by name, for which their role needs a right of its own. */
const NAMED_SEQUENCES = ['orders_id_seq', 'inbound_deliveries_id_seq'];

export interface ReadinessFacts {
  executed: string[];
  forbiddenSequences: string[];
}

/** One statement, about our own tables alone. @throws when the table of migrations is not there */
export async function findReadiness(db: Db): Promise<ReadinessFacts> {
  const { rows } = await sql<ReadinessFacts>`
    select array(select name::text from kysely_migration) as executed,
           array(select name from unnest(${NAMED_SEQUENCES}::text[]) as s (name)
                  where not coalesce(has_sequence_privilege(to_regclass(name), 'usage'), true)
           ) as "forbiddenSequences"
  `.execute(db);
  // A select without a table has one row.
  return rows[0] as ReadinessFacts;
}
