import { Kysely } from 'kysely';
import pg from 'pg';

import {
  CONNECT_TIMEOUT_MS,
  type ConnectionTarget,
  clientConfig,
  HOT_OPTIONS,
  MIGRATION_BEGIN,
  QUERY_TIMEOUT_MS,
  SET_DATE_STYLE,
  SET_LOCAL_TIMEOUTS,
  type ShareSettings,
} from './client-config.ts';
import { type CommitSignal, createCommitSignal } from './commit-signal.ts';
import { Liveness } from './liveness.ts';
import type { DB } from './schema.ts';
import type { ConnectionOptions } from './driver/connection.ts';
import { PgDialect } from './driver/dialect.ts';
import { PipelinedDriver } from './driver/pipeline.ts';
import { PooledDriver } from './driver/pooled-driver.ts';
import { createReports, type Reports } from './reports.ts';
import type { Db } from './types.ts';

/*
 * Each class of calls has connections of its own, so that none waits for another's: a search that takes seconds, or a
 * hundred edits of one locked product, hold up nothing but their like.
 *
 *   share     connections               what runs on it
 *   changes   the rest of the pool      edits, adjustments, status changes, background jobs
 *   lists     a part of the pool        lists, searches, explanations; with a short queue
 *   reads     2                         reads by id and previews
 *   payments  2                         payment events
 *   lane      1                         orders (`pipeline.ts`)
 *   probe     1                         readiness
 *   reports   1                         audits (`reports.ts`)
 *   signal    1                         hints between instances (`commit-signal.ts`); none behind PgBouncer
 *
 * DATABASE_POOL_SIZE is the sum of the first two, which are at least 1 each. All are opened when they are first used.
 */
const LISTS_PART = 0.4;
/** As many as the batches that are under way at once (id-reader.ts, payment.service.ts). */
const READ_CONNECTIONS = 2;
const PAYMENT_CONNECTIONS = 2;
/** One slow list keeps a dozen others waiting for as long as a caller waits; a call past that number is better refused. */
const LISTS_WAITING_PER_CONNECTION = 25;

/** Reads of whole tables, on the connection for reports alone: a request does not wait for them as long as that. */
const REPORT_STATEMENT_TIMEOUT_MS = 30_000;
const REPORT_QUERY_TIMEOUT_MS = 32_000;
/** Waiting for one of the pooled connections to be free. */
const POOL_TIMEOUT_MS = 5000;
const IDLE_MS = 30_000;
/** A connection's backend only grows: it keeps what it has learned of tables and statements. It ends with the connection. */
const LIFETIME_S = 15 * 60;

export interface DatabaseOptions extends ConnectionTarget {
  poolSize: number;
  /** A pooled connection died while it was idle. It is replaced; this is for the log. */
  onIdleError: (error: Error) => void;
}

/** The pools by their shares, for the metrics. */
export type Pools = Record<'changes' | 'lists' | 'reads' | 'payments', pg.Pool>;

export interface Database {
  /** Changes. */
  db: Db;
  lists: Db;
  reads: Db;
  payments: Db;
  /** One connection whose transactions follow each other without a round trip between them (`pipeline.ts`). */
  lane: Db;
  probe: Db;
  reports: Reports;
  /** Says when something was committed, here or in another instance. */
  commits: CommitSignal;
  pools: Pools;
  readonly close: () => Promise<void>;
}

interface Share extends ShareSettings {
  max: number;
  /** Its statements are few and come often: they are named, and planned once. */
  hot?: boolean;
  maxWaiting?: number;
}

export function createDatabase(options: DatabaseOptions): Database {
  const { pgbouncer, poolSize, onIdleError } = options;
  const liveness = new Liveness();
  const commits = createCommitSignal(
    pgbouncer
      ? undefined
      : {
          ...clientConfig(options),
          application_name: 'orders-inventory-signal',
          connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        },
  );
  const connection: ConnectionOptions = {
    ownsBackend: !pgbouncer,
    named: false,
    beginPrefix: pgbouncer ? SET_LOCAL_TIMEOUTS : '',
    liveness,
    queryTimeoutMs: QUERY_TIMEOUT_MS,
    onCommit: () => commits.touch(),
  };
  const settingsOf = ({ hot = false, ...share }: Share): ShareSettings => ({
    ...share,
    ...(hot ? { options: HOT_OPTIONS } : {}),
  });
  const optionsOf = ({ hot = false, queryTimeoutMs = QUERY_TIMEOUT_MS, maxWaiting }: Share) => ({
    ...connection,
    named: hot && !pgbouncer,
    queryTimeoutMs,
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
  });
  const open = (share: Share): { pool: pg.Pool; db: Db } => {
    const pool = openPool(clientConfig(options, settingsOf(share)), share.max, options, liveness);
    return { pool, db: kysely(() => new PooledDriver(pool, optionsOf(share))) };
  };

  const forLists = Math.max(1, Math.floor(poolSize * LISTS_PART));
  const changes = open({ hot: true, max: Math.max(1, poolSize - forLists) });
  const lists = open({ max: forLists, maxWaiting: LISTS_WAITING_PER_CONNECTION * forLists });
  const reads = open({ hot: true, max: READ_CONNECTIONS });
  const payments = open({ hot: true, max: PAYMENT_CONNECTIONS });
  const probe = open({ max: 1 });
  const lane = openLane(options, optionsOf({ max: 1, hot: true }), onIdleError);
  const reportShare: Share = {
    max: 1,
    statementTimeoutMs: REPORT_STATEMENT_TIMEOUT_MS,
    queryTimeoutMs: REPORT_QUERY_TIMEOUT_MS,
  };
  const reports = createReports(
    openPool(clientConfig(options, settingsOf(reportShare)), 1, options, liveness),
    optionsOf(reportShare),
  );
  return {
    db: changes.db,
    lists: lists.db,
    reads: reads.db,
    payments: payments.db,
    lane,
    probe: probe.db,
    reports,
    commits,
    pools: { changes: changes.pool, lists: lists.pool, reads: reads.pool, payments: payments.pool },
    async close() {
      reports.abort();
      await commits.close();
      await reports.db.destroy();
      await lane.destroy();
      await Promise.all([changes, lists, reads, payments, probe].map(({ db }) => db.destroy()));
    },
  };
}

/** One connection for the migrations alone. */
export function openForMigrations(options: Omit<DatabaseOptions, 'poolSize' | 'forMigrations'>): Db {
  const target = { ...options, forMigrations: true };
  const liveness = new Liveness();
  const pool = openPool(clientConfig(target), 1, target, liveness);
  return kysely(
    () =>
      new PooledDriver(pool, {
        ownsBackend: !options.pgbouncer,
        named: false,
        beginPrefix: MIGRATION_BEGIN,
        liveness,
        queryTimeoutMs: QUERY_TIMEOUT_MS,
      }),
  );
}

function kysely(createDriver: () => PooledDriver | PipelinedDriver): Db {
  return new Kysely<DB>({ dialect: new PgDialect(createDriver) });
}

function openLane(
  target: ConnectionTarget,
  options: ConnectionOptions,
  onIdleError: (error: Error) => void,
): Db {
  const config = {
    ...clientConfig(target, { options: HOT_OPTIONS }),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  };
  const onOpen = target.pgbouncer ? SET_DATE_STYLE : undefined;
  return kysely(() => new PipelinedDriver(config, options, { onLost: onIdleError, onOpen }));
}

function openPool(
  config: pg.ClientConfig,
  max: number,
  { pgbouncer, forMigrations = false, onIdleError }: Omit<DatabaseOptions, 'poolSize'>,
  liveness: Liveness,
): pg.Pool {
  const pool = new pg.Pool({
    ...config,
    // Migrations wait as long as the pool does, for a database that is starting, too.
    ...(forMigrations ? {} : { Client: ConnectingClient, maxLifetimeSeconds: LIFETIME_S }),
    connectionTimeoutMillis: POOL_TIMEOUT_MS,
    max,
    idleTimeoutMillis: IDLE_MS,
    // Sent before any statement of ours; its failure is that of the connection.
    ...(pgbouncer ? { verify: setDateStyle } : {}),
  });
  // An idle connection that PostgreSQL ends emits 'error', which would end the process without a listener.
  pool.on('error', onIdleError);
  // The same for one that is ended right as it opens: pg may read both at once, before the driver listens. The next
  // statement on the connection reports it.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('connect', (client) => liveness.heard(client));
  return pool;
}

function setDateStyle(client: pg.PoolClient, done: (error?: Error) => void): void {
  // On success, pg gives null.
  client.query(SET_DATE_STYLE, (error: Error | null) => done(error ?? undefined));
}

/** The pool has one timeout for waiting and for opening; this is where they differ. */
class ConnectingClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    // The pool hides the password from code that lists its settings, such as `...`.
    const { password } = config ?? {};
    super({
      ...config,
      ...(password === undefined ? {} : { password }),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
  }
}
