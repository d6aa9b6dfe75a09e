import { createHash } from 'node:crypto';

import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type PostgresAdapter,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely';
import type { ClientBase, Pool, PoolClient, QueryConfig, QueryResult as PgResult } from 'pg';

import { destroySocket, type Liveness } from './liveness.ts';
import { MigrationAdapter, MigrationTables } from './migration-dialect.ts';
import {
  CommitUncertainError,
  isConnectionLoss,
  isReadOnly,
  isReadTimeout,
  NoConnectionError,
  ShareFullError,
  TransactionRolledBackError,
  type TransactionName,
} from './pg-errors.ts';

/*
 * Kysely's driver for pg, with three differences.
 *
 * - A COMMIT whose answer is not the tag COMMIT throws. PostgreSQL answers the COMMIT of a failed transaction with the
 *   tag ROLLBACK and no error, and Kysely's own driver takes that for success.
 * - A transaction knows its id from its BEGIN on, so that a connection lost during COMMIT can be settled by asking
 *   PostgreSQL what became of it (`transaction.ts`).
 * - On the connections for hot statements, those with parameters are named, so that PostgreSQL parses and plans each of
 *   them once a connection.
 */
export interface ConnectionOptions {
  /**
   * False behind PgBouncer in transaction mode, where each transaction may have another connection of the server, and
   * nothing is known from the transaction before.
   */
  ownsBackend: boolean;
  /**
   * Statements are named. Not behind PgBouncer, which mixes the names up before 1.21; and not where filters make the
   * texts, for each combination would stay in the memory of the backend.
   */
  named: boolean;
  /** How many may wait for a connection; more are refused. */
  maxWaiting?: number;
  /** SQL sent with each BEGIN: SET LOCALs, where a pooler refuses them as startup parameters. */
  beginPrefix: string;
  liveness: Liveness;
  /** After how long a statement counts as unanswered. */
  queryTimeoutMs: number;
}

/**
 * The run of the server. It changes with the server, with its start, and with each recovery from a crash, which resets
 * the statistics: whatever ends all of its connections and may forget transactions that were never on disk.
 */
export const serverRunSql =
  "extract(epoch from pg_postmaster_start_time()) || ' ' || extract(epoch from pg_stat_get_bgwriter_stat_reset_time())";

/** The run that a connection is of; it ends with the connection at the latest. */
const serverRuns = new WeakMap<ClientBase, string | null>();

export class PgDialect implements Dialect {
  readonly #createDriver: () => Driver;

  constructor(createDriver: () => Driver) {
    this.#createDriver = createDriver;
  }

  createDriver(): Driver {
    return this.#createDriver();
  }

  createQueryCompiler(): PostgresQueryCompiler {
    return new PostgresQueryCompiler();
  }

  createAdapter(): PostgresAdapter {
    return new MigrationAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new MigrationTables(db);
  }
}

const BEGIN = 'begin isolation level read committed';

interface BeginRow {
  xid: string;
  /** Only when it was asked for. */
  run?: string | null;
}

/** Each transaction on a pooled connection of its own. */
export class PooledDriver implements Driver {
  readonly #pool: Pool;
  readonly #options: ConnectionOptions;

  constructor(pool: Pool, options: ConnectionOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<PgConnection> {
    const client = await this.#connect();
    return new PgConnection(client, this.#options, (unfit) => client.release(unfit));
  }

  async #connect(): Promise<PoolClient> {
    const { maxWaiting = Number.POSITIVE_INFINITY } = this.#options;
    // Those that an idle connection is about to be handed to do not wait.
    if (this.#pool.waitingCount - this.#pool.idleCount >= maxWaiting) throw new ShareFullError();
    try {
      let client = await this.#pool.connect();
      // As many times as there are connections, at the most: a new one is not doubtful.
      while (this.#options.liveness.isDoubtful(client)) {
        client.release(true);
        destroySocket(client);
        client = await this.#pool.connect();
      }
      return client;
    } catch (error) {
      throw new NoConnectionError(error);
    }
  }

  async beginTransaction(connection: PgConnection): Promise<void> {
    await connection.begin();
  }

  async commitTransaction(connection: PgConnection): Promise<void> {
    await connection.commit();
  }

  async rollbackTransaction(connection: PgConnection): Promise<void> {
    await connection.rollback();
  }

  async releaseConnection(connection: PgConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {
    await this.#pool.end();
  }
}

/** A connection for as long as one transaction, or one statement, needs it. */
export class PgConnection implements DatabaseConnection {
  readonly #client: ClientBase;
  readonly #options: ConnectionOptions;
  readonly #onRelease: (unfit: boolean) => void;
  #transaction: TransactionName | undefined;
  #lost = false;
  /** It works, and the next transaction is better off with another one. */
  #unwanted = false;

  constructor(client: ClientBase, options: ConnectionOptions, onRelease: (unfit: boolean) => void) {
    this.#client = client;
    this.#options = options;
    this.#onRelease = onRelease;
    // Without a listener, a connection that dies between two statements of a transaction would end the process.
    client.on('error', this.#onError);
  }

  readonly #onError = (): void => {
    this.#lost = true;
  };

  async begin(): Promise<void> {
    // Whatever the role's default is: a transaction of ours waits for a lock and then reads what the one before it has
    // left, which under any stricter level is a serialization failure instead.
    // One round trip; the id costs nothing more, because every transaction of ours goes on to write.
    const known = this.#options.ownsBackend ? serverRuns.get(this.#client) : undefined;
    const run = known === undefined ? `, ${serverRunSql} as run` : '';
    const begin = `${BEGIN}; ${this.#options.beginPrefix}select pg_current_xact_id()::text as xid${run}`;
    let results: PgResult<BeginRow>[];
    try {
      // Several statements in one text have several results.
      results = (await this.#send(begin)) as unknown as PgResult<BeginRow>[];
    } catch (error) {
      // What failed may be the statement behind the BEGIN, as on a standby; then there is a transaction to end.
      await this.onFailedBegin();
      throw error;
    }
    // A select of functions has one row.
    const row = results.at(-1)?.rows[0] as BeginRow;
    const { xid: id, run: serverRun = known ?? null } = row;
    serverRuns.set(this.#client, serverRun);
    this.#transaction = { id, serverRun };
  }

  async commit(): Promise<void> {
    let result: PgResult;
    try {
      result = await this.#send('commit');
    } catch (error) {
      // Not answered: it may be stored or not.
      const transaction = this.#transaction;
      throw transaction !== undefined && isConnectionLoss(error)
        ? new CommitUncertainError(transaction, error)
        : error;
    }
    if (result.command !== 'COMMIT') throw new TransactionRolledBackError(result.command);
  }

  async rollback(): Promise<void> {
    // A lost connection has rolled back already, or its COMMIT decided; it is thrown away when released.
    if (this.#lost) return;
    // One that cannot even roll back is not fit for the next either.
    await this.#send('rollback').catch(() => {
      this.#lost = true;
    });
  }

  /** Kysely takes it that nothing has begun; the connection must not go back inside of a failed transaction. */
  protected async onFailedBegin(): Promise<void> {
    await this.rollback();
  }

  async #send(query: string | QueryConfig): Promise<PgResult> {
    try {
      return await this.#client.query(query);
    } catch (error) {
      if (isConnectionLoss(error)) this.#lost = true;
      if (isReadTimeout(error)) this.#options.liveness.silentFor(this.#options.queryTimeoutMs);
      if (isReadOnly(error)) this.#unwanted = true;
      throw error;
    }
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const query: QueryConfig = { text: compiled.sql, values: compiled.parameters as unknown[] };
    if (this.#options.named && compiled.parameters.length > 0) query.name = statementName(compiled.sql);
    const { rows, rowCount } = await this.#send(query);
    return { rows: rows as R[], numAffectedRows: BigInt(rowCount ?? 0) };
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not supported by this driver');
  }

  protected get isLost(): boolean {
    return this.#lost;
  }

  release(): void {
    this.#client.off('error', this.#onError);
    if (!this.#lost) this.#options.liveness.heard(this.#client);
    this.#onRelease(this.#lost || this.#unwanted);
  }
}

/**
 * SQL text → statement name. The texts of hot statements come from code alone, so they are few; the bound only makes
 * sure that a mistake there cannot fill the memory.
 */
const STATEMENT_NAMES_MAX = 500;
const statementNames = new Map<string, string>();

/** @returns undefined past the bound: such a statement is parsed each time */
function statementName(sql: string): string | undefined {
  let name = statementNames.get(sql);
  if (name === undefined && statementNames.size < STATEMENT_NAMES_MAX) {
    name = createHash('sha256').update(sql).digest('base64url').slice(0, 22);
    statementNames.set(sql, name);
  }
  return name;
}
