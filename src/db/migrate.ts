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

function migrator(db: Db): Migrator {
  return new Migrator({ db, provider: new SqlFileProvider() });
}

/**
 * Brings the schema up to date. Many instances may call it at once on one empty database: one of them works while
 * the others wait (`forMigrations` in database.ts).
 * @returns the names of the migrations that this call ran
 */
export async function migrateToLatest(db: Db): Promise<string[]> {
  const { error, results = [] } = await migrator(db).migrateToLatest();
  if (error !== undefined) {
    const failed = results.find(({ status }) => status === 'Error')?.migrationName;
    const reason = error instanceof Error ? error.message : 'no reason given';
    throw new StartupError(`The migration ${failed ?? 'of the database'} failed: ${reason}.`);
  }
  return results.map(({ migrationName }) => migrationName);
}

/** How many migrations this version of the service knows that the database has not run. */
export async function pendingMigrations(db: Db): Promise<number> {
  const all = await migrator(db).getMigrations();
  return all.filter(({ executedAt }) => executedAt === undefined).length;
}
