import { randomBytes } from 'node:crypto';

import pg from 'pg';
import { beforeAll, inject, onTestFinished } from 'vitest';

export interface TestDatabase {
  /** As a service reaches it: directly, or through PgBouncer where a whole project of tests does so. */
  url: string;
  /** Runs SQL on a connection of its own, outside of the service: to look at what is really stored. */
  query<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  drop(): Promise<void>;
}

/** A fresh clone of a template, the migrated one, with real commits: nothing that a test does is rolled back. */
export async function createTestDatabase(template = inject('templateName')): Promise<TestDatabase> {
  const adminUrl = inject('adminUrl');
  const name = `oi_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const admin = new pg.Pool({ connectionString: adminUrl, max: 1 });
  await admin.query(`create database ${name} template ${template}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 2 });
  // Tests kill backends, this pool's among them.
  pool.on('error', () => undefined);
  return {
    url: inject('throughPgbouncer') ? throughPgbouncer(url) : url.href,
    async query<R extends pg.QueryResultRow>(text: string, values: unknown[] = []) {
      return (await pool.query<R>(text, values)).rows;
    },
    async drop() {
      await pool.end();
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.end();
    },
  };
}

function throughPgbouncer(database: URL): string {
  const url = new URL(inject('pgbouncerUrl'));
  url.pathname = database.pathname;
  return url.href;
}

/** A database for all tests of the file that calls this. Only hooks and tests can use it: a hook sets its members. */
export function useSharedDatabase(): TestDatabase {
  const database = {} as TestDatabase;
  beforeAll(async () => {
    Object.assign(database, await createTestDatabase());
    return () => database.drop();
  });
  return database;
}

/** A database for one test, dropped when it ends. */
export async function useTestDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  return database;
}
