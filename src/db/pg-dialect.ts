import { createHash } from 'node:crypto';

import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely';
import type { ClientBase, Pool, QueryConfig, QueryResult as PgResult } from 'pg';

import { CommitUncertainError, isConnectionLoss, TransactionRolledBackError } from './pg-errors.ts';

/*
 * Kysely's driver for pg, with three differences.
 *
 * - A COMMIT whose answer is not the tag COMMIT throws. PostgreSQL answers the COMMIT of a failed transaction with the
 *   tag ROLLBACK and no error, and Kysely's own driver takes that for success.
 * - A transaction knows its id from its BEGIN on, so that a connection lost during COMMIT can be settled by asking
 *   PostgreSQL what became of it (`transaction.ts`).
 * - Statements with parameters are named, so that PostgreSQL parses and plans each of them once a connection.
 */
export interface ConnectionOptions {
  /** False behind a transaction-pooling PgBouncer older than 1.21, which mixes up named statements. */
  nameStatements: boolean;
  /** SQL sent with each BEGIN: SET LOCALs, where a pooler refuses them as startup parameters. */
  beginPrefix: string;
}

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
    return new PostgresAdapter();
  }

  createIntrospector(db: Kysely<unknown>): PostgresIntrospector {
    return new PostgresIntrospector(db);
  }
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
    const client = await this.#pool.connect();
    return new PgConnection(client, this.#options, (lost) => client.release(lost));
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
  readonly #onRelease: (lost: boolean) => void;
  #transactionId: string | undefined;
  #lost = false;

  constructor(client: ClientBase, options: ConnectionOptions, onRelease: (lost: boolean) => void) {
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
    // One round trip; the id costs nothing more, because every transaction of ours goes on to write.
    const begin = `begin; ${this.#options.beginPrefix}select pg_current_xact_id()::text as xid`;
    let results: PgResult<{ xid: string }>[];
    try {
      // Several statements in one text have several results.
      results = (await this.#send(begin)) as unknown as PgResult<{ xid: string }>[];
    } catch (error) {
      // What failed may be the statement behind the BEGIN, as on a standby; then there is a transaction to end.
      await this.onFailedBegin();
      throw error;
    }
    this.#transactionId = results.at(-1)?.rows[0]?.xid;
  }

  async commit(): Promise<void> {
    let result: PgResult;
    try {
      result = await this.#send('commit');
    } catch (error) {
      // Not answered: it may be stored or not.
      const id = this.#transactionId;
      throw id !== undefined && isConnectionLoss(error) ? new CommitUncertainError(id, error) : error;
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
      throw error;
    }
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const query: QueryConfig = { text: compiled.sql, values: compiled.parameters as unknown[] };
    if (this.#options.nameStatements && compiled.parameters.length > 0)
      query.name = statementName(compiled.sql);
    const { rows, rowCount } = await this.#send(query);
    return { rows: rows as R[], numAffectedRows: BigInt(rowCount ?? 0) };
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not supported by this driver');
  }

  release(): void {
    this.#client.off('error', this.#onError);
    this.#onRelease(this.#lost);
  }
}

/**
 * SQL text → statement name. The texts come from code, not from input (lists are passed as arrays, filters add fixed
 * fragments), so their number is small; the bound only makes sure that a mistake there cannot fill the memory.
 */
const STATEMENT_NAMES_MAX = 2000;
const statementNames = new Map<string, string>();

function statementName(sql: string): string {
  let name = statementNames.get(sql);
  if (name === undefined) {
    name = createHash('sha256').update(sql).digest('base64url').slice(0, 22);
    if (statementNames.size < STATEMENT_NAMES_MAX) statementNames.set(sql, name);
  }
  return name;
}
