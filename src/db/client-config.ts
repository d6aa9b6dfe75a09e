import type { Socket } from 'node:net';

import type { ClientConfig } from 'pg';

import { parseDatabaseUrl } from './database-url.ts';
import { getTypeParser } from './type-parsers.ts';

/*
 * Timeouts form one ladder, so that the cheapest thing gives up first and says so:
 * lock 1 s < statement 3 s < query 5 s < request 8 s (the last is DEADLINE_MS in http/route-config.ts).
 */
const LOCK_TIMEOUT_MS = 1000;
const STATEMENT_TIMEOUT_MS = 3000;
/** Counted by this process, for a connection that has gone silent; it gives up the connection. */
export const QUERY_TIMEOUT_MS = 5000;
/** Locks of a transaction whose service was cut off are given back then: when the service, too, has given it up. */
const IDLE_IN_TRANSACTION_MS = QUERY_TIMEOUT_MS;
/** An idle connection that the network has dropped in silence is found after this and ten more seconds (libuv's probes). */
const KEEP_ALIVE_DELAY_MS = 10_000;
/**
 * Opening a connection takes milliseconds where it works at all. While the database is away, everybody waits in this;
 * it is what must end before the first of them is served again.
 */
export const CONNECT_TIMEOUT_MS = 3000;

const SERVER_TIMEOUTS = {
  lock_timeout: LOCK_TIMEOUT_MS,
  statement_timeout: STATEMENT_TIMEOUT_MS,
  idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
};

/**
 * Times are read as ISO (`toIsoTime` in type-parsers.ts); a DateStyle of the role or the database would exchange days
 * and months. PgBouncer refuses it as a startup option, but carries a SET of it over to the next connection, whichever it is.
 */
const DATE_STYLE_OPTION = '-c DateStyle=ISO';
export const SET_DATE_STYLE = 'set DateStyle = ISO';

/**
 * Hot statements are planned once a connection. PostgreSQL would otherwise plan a read by id, or the write of a small
 * batch, anew each time, because it looks cheaper than the general plan, and planning takes longer than running it. All
 * of them use an index, even if the table was small when they were planned: a plan that reads a small table from end to
 * end would be kept while the table grows. A statement that cannot use an index then looks so expensive that PostgreSQL
 * would compile it first.
 */
export const HOT_OPTIONS = '-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off';

/** Migrations have no timeouts, also where their role has some. PgBouncer refuses this as it refuses the timeouts themselves. */
const NO_TIMEOUTS = '-c lock_timeout=0 -c statement_timeout=0 -c idle_in_transaction_session_timeout=0';
/**
 * What the transaction of migrations begins with: no timeouts behind PgBouncer either, nor that of whole transactions,
 * which PostgreSQL has from 17 on; and one instance at a time. The lock is the transaction's: behind PgBouncer, one of
 * the session would be taken on one connection and given back on another. Its number is that of Kysely's own, which
 * earlier versions took.
 */
export const MIGRATION_BEGIN = `select set_config(name, '0', true) from pg_settings
   where name in ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
  select pg_advisory_xact_lock(3853314791062309107); `;
/** Behind PgBouncer, the timeouts go with each BEGIN. */
export const SET_LOCAL_TIMEOUTS = Object.entries(SERVER_TIMEOUTS)
  .map(([name, ms]) => `set local ${name} = ${ms}; `)
  .join('');

export interface ConnectionTarget {
  url: string;
  /** The database is reached through PgBouncer in transaction mode: no named statements, no startup parameters. */
  pgbouncer: boolean;
  /** For migrations, which may wait for another instance's and take long: without timeouts, each transaction alone. */
  forMigrations?: boolean;
  /** Makes the socket of each connection, for a server that has to prove itself (`scram-only.ts`). */
  stream?: (() => Socket) | undefined;
}

export interface ShareSettings {
  /** Startup options beside those of every connection. */
  options?: string;
  statementTimeoutMs?: number;
  queryTimeoutMs?: number;
}

/** What a connection is opened with. All of it is said, because pg asks the environment for what is not. */
export function clientConfig(target: ConnectionTarget, share: ShareSettings = {}): ClientConfig {
  const { url, pgbouncer, forMigrations = false, stream } = target;
  const { queryTimeoutMs = QUERY_TIMEOUT_MS, statementTimeoutMs = STATEMENT_TIMEOUT_MS } = share;
  const { options: ofUrl, ...named } = parseDatabaseUrl(url);
  // Ours come last and so win; what the URL adds, such as a search_path, holds for every connection.
  const ours = [DATE_STYLE_OPTION, forMigrations ? NO_TIMEOUTS : share.options];
  const options = [ofUrl, ...(pgbouncer ? [] : ours)].filter(Boolean).join(' ');
  const timeouts =
    pgbouncer || forMigrations ? {} : { ...SERVER_TIMEOUTS, statement_timeout: statementTimeoutMs };
  return {
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    application_name: 'orders-inventory',
    types: { getTypeParser },
    ssl: false,
    ...(forMigrations ? {} : { query_timeout: queryTimeoutMs }),
    ...timeouts,
    ...named,
    ...(stream === undefined ? {} : { stream }),
    ...(options === '' ? {} : { options }),
  };
}
