import { Kysely } from 'kysely';
import type pg from 'pg';

import type { ConnectionOptions } from './driver/connection.ts';
import { PgDialect } from './driver/dialect.ts';
import { PooledDriver } from './driver/pooled-driver.ts';
import type { DB } from './schema.ts';
import type { Db } from './types.ts';

/**
 * One connection of its own for reads of whole tables: they may take longer than any request, so they must not take a
 * connection that requests wait for.
 *
 * Read with single statements only. A transaction of ours draws an id, and while a transaction with an id is open, the
 * readers of the event log wait for it.
 */
export interface Reports {
  db: Db;
  /** Ends the read that is under way and lets all later ones fail: they get a lost connection. */
  abort(): void;
}

/** @param pool of one connection */
export function createReports(pool: pg.Pool, connection: ConnectionOptions): Reports {
  let reading: pg.PoolClient | undefined;
  let aborted = false;
  pool.on('acquire', (client) => {
    reading = client;
    if (aborted) end(client);
  });
  pool.on('release', () => {
    reading = undefined;
  });
  return {
    db: new Kysely<DB>({ dialect: new PgDialect(() => new PooledDriver(pool, connection)) }),
    abort() {
      aborted = true;
      if (reading !== undefined) end(reading);
    },
  };
}

/**
 * The socket is closed without a word to PostgreSQL, which may be out of reach; there, the statement runs on until it is
 * done or has run into its timeout.
 */
function end(client: pg.PoolClient): void {
  // The pool makes its clients with pg.Client; its type only hides how to end them.
  (client as unknown as pg.Client).end().catch(() => undefined);
}
