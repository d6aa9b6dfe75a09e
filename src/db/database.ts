import type { Socket } from 'node:net';

import { Kysely } from 'kysely';
import pg from 'pg';

import { Liveness } from './liveness.ts';
import type { DB } from './schema.ts';
import { PgDialect, PooledDriver } from './pg-dialect.ts';
import { PipelinedDriver } from './pipeline.ts';
import { createReports, type Reports } from './reports.ts';
import type { Db } from './types.ts';

/*
 * Timeouts form one ladder, so that the cheapest thing gives up first and says so:
 * lock 1 s < statement 3 s < query 5 s < request 8 s (the last is set on Fastify, in app.ts).
 */
const LOCK_TIMEOUT_MS = 1000;
const STATEMENT_TIMEOUT_MS = 3000;
/** Counted by this process, for a connection that has gone silent; it gives up the connection. */
const QUERY_TIMEOUT_MS = 5000;
/** Reads of whole tables, on the connection for reports alone: a request does not wait for them as long as that. */
const REPORT_STATEMENT_TIMEOUT_MS = 30_000;
const REPORT_QUERY_TIMEOUT_MS = 32_000;
/** Locks of a transaction whose service was cut off are given back then: when the service, too, has given it up. */
const IDLE_IN_TRANSACTION_MS = QUERY_TIMEOUT_MS;
/** An idle connection that the network has dropped in silence is found after this and ten more seconds (libuv's probes). */
const KEEP_ALIVE_DELAY_MS = 10_000;
/** Waiting for one of the pooled connections to be free. */
const POOL_TIMEOUT_MS = 5000;
/**
 * Opening a connection takes milliseconds where it works at all. While the database is away, everybody waits in this;
 * it is what must end before the first of them is served again.
 */
const CONNECT_TIMEOUT_MS = 3000;

/** Migrations have none, whatever is set for their role. PgBouncer refuses this as it refuses the timeouts themselves. */
const NO_TIMEOUTS = '-c lock_timeout=0 -c statement_timeout=0';
/**
 * What the transaction of migrations begins with: no timeouts behind PgBouncer either, and one instance at a time. The
 * lock is the transaction's: behind PgBouncer, one of the session would be taken on one connection and given back on
 * another. Its number is that of Kysely's own, which earlier versions took.
 */
const MIGRATION_BEGIN =
  'set local lock_timeout = 0; set local statement_timeout = 0; select pg_advisory_xact_lock(3853314791062309107); ';

export interface DatabaseOptions {
  url: string;
  poolSize: number;
  /** The database is reached through PgBouncer in transaction mode: no named statements, no startup parameters. */
  pgbouncer: boolean;
  /** For migrations, which may wait for another instance's and take long: without timeouts, each transaction alone. */
  forMigrations?: boolean;
  /** Makes the socket of each connection, for a server that has to prove itself (`scram-only.ts`). */
  stream?: (() => Socket) | undefined;
  /** A pooled connection died while nobody used it. It is replaced; this is news for the log. */
  onIdleError: (error: Error) => void;
}

export interface Database {
  db: Db;
  /** One connection whose transactions follow each other without a round trip between them (`pipeline.ts`). */
  lane: Db;
  reports: Reports;
  pool: pg.Pool;
  readonly close: () => Promise<void>;
}

export function createDatabase(options: DatabaseOptions): Database {
  const { pgbouncer, forMigrations = false, onIdleError } = options;
  const timeouts = !forMigrations;
  const serverTimeouts = {
    lock_timeout: LOCK_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  };
  const clientConfig: pg.ClientConfig = {
    connectionString: options.url,
    ...(options.stream === undefined ? {} : { stream: options.stream }),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    application_name: 'orders-inventory',
    types: { getTypeParser },
    ...(timeouts ? { query_timeout: QUERY_TIMEOUT_MS } : {}),
    // PgBouncer refuses startup parameters that it does not know, so behind it they go with each BEGIN.
    ...(pgbouncer ? {} : timeouts ? serverTimeouts : { options: NO_TIMEOUTS }),
  };
  const liveness = new Liveness();
  const open = (config: pg.ClientConfig, max: number) =>
    openPool(config, max, timeouts, liveness, onIdleError);
  const pool = open(clientConfig, options.poolSize);
  const setLocal = Object.entries(serverTimeouts)
    .map(([name, ms]) => `set local ${name} = ${ms}; `)
    .join('');
  const connection = {
    ownsBackend: !pgbouncer,
    beginPrefix: forMigrations ? MIGRATION_BEGIN : pgbouncer ? setLocal : '',
    liveness,
    queryTimeoutMs: QUERY_TIMEOUT_MS,
  };
  const db = new Kysely<DB>({ dialect: new PgDialect(() => new PooledDriver(pool, connection)) });
  // The few statements of the lane are planned once: PostgreSQL would otherwise plan the write of a small batch anew each
  // time, because it looks cheaper than the general plan, and that takes longer than to run it.
  const laneConfig = {
    ...clientConfig,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...(pgbouncer ? {} : { options: '-c plan_cache_mode=force_generic_plan' }),
  };
  const lane = new Kysely<DB>({
    dialect: new PgDialect(() => new PipelinedDriver(laneConfig, connection, onIdleError)),
  });
  const reportConfig = {
    ...clientConfig,
    ...(timeouts ? { query_timeout: REPORT_QUERY_TIMEOUT_MS } : {}),
    ...(timeouts && !pgbouncer ? { statement_timeout: REPORT_STATEMENT_TIMEOUT_MS } : {}),
  };
  const reports = createReports(open(reportConfig, 1), {
    ...connection,
    queryTimeoutMs: REPORT_QUERY_TIMEOUT_MS,
  });
  return {
    db,
    lane,
    reports,
    pool,
    async close() {
      reports.abort();
      await reports.db.destroy();
      await lane.destroy();
      await db.destroy();
    },
  };
}

function openPool(
  config: pg.ClientConfig,
  max: number,
  timeouts: boolean,
  liveness: Liveness,
  onIdleError: (error: Error) => void,
): pg.Pool {
  const pool = new pg.Pool({
    ...config,
    // Migrations wait as long as the pool does, for a database that is starting, too.
    ...(timeouts ? { Client: ConnectingClient } : {}),
    connectionTimeoutMillis: POOL_TIMEOUT_MS,
    max,
    idleTimeoutMillis: 30_000,
  });
  // An idle connection that PostgreSQL ends emits 'error', which would end the process if nobody listened.
  pool.on('error', onIdleError);
  // The same for one that is ended right as it opens: pg may read both at once, before the driver listens. Whoever uses
  // the connection next is told.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('connect', (client) => liveness.heard(client));
  return pool;
}

/** The pool has one timeout for waiting and for opening; this is where they differ. */
class ConnectingClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super({ ...config, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  }
}

const INT8: number = pg.types.builtins.INT8;
const TIMESTAMPTZ: number = pg.types.builtins.TIMESTAMPTZ;

/**
 * int8 → number: ids, counters and versions stay below 2^53, and one that did not must not be shown altered.
 * timestamptz → ISO-8601 text in UTC with three decimals, without the detour over a Date.
 * numeric stays text, for money is never a float (`moneyOf` in money.ts).
 */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (format !== 'binary') {
    if (oid === INT8) return toSafeInteger;
    if (oid === TIMESTAMPTZ) return toIsoTime;
  }
  return pg.types.getTypeParser(oid, format);
}

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint out of the safe range: ${text}`);
  return value;
}

/** `2026-01-02 03:04:05.678+00`, with the zeros at the end of the fraction left out. */
const UTC_TIME_CHARS = { least: 22, most: 26 };

function toIsoTime(text: string): string {
  const { length } = text;
  const isUtc = text.endsWith('+00') && length >= UTC_TIME_CHARS.least && length <= UTC_TIME_CHARS.most;
  // A server or pooler with another time zone, or a year of five digits: correct, only slower.
  if (!isUtc || text[10] !== ' ') return new Date(text).toISOString();
  const fraction = text.slice(20, -3).padEnd(3, '0');
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`;
}
