import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import type { ClientBase, QueryConfig, QueryResult as PgResult } from 'pg';

import type { Liveness } from '../liveness.ts';
import {
  CommitUncertainError,
  isConnectionLoss,
  isReadOnly,
  isReadTimeout,
  TransactionRolledBackError,
  type TransactionName,
} from '../pg-errors.ts';
import { serverRunSql } from './server-run.ts';
import { statementName } from './statement-names.ts';

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
  /** Called after each COMMIT that PostgreSQL has confirmed. */
  onCommit?: () => void;
}

/** The run that a connection is of; it ends with the connection at the latest. */
const serverRuns = new WeakMap<ClientBase, string | null>();

const BEGIN = 'begin isolation level read committed';

interface BeginRow {
  xid: string;
  /** Only when it was asked for. */
  run?: string | null;
}

/** What becomes of a connection: `unwanted` works, but its server takes no writes, so the pool opens another one instead. */
type Health = 'fit' | 'unwanted' | 'lost';

/** A connection for as long as one transaction, or one statement, needs it. */
export class PgConnection implements DatabaseConnection {
  readonly #client: ClientBase;
  readonly #options: ConnectionOptions;
  readonly #onRelease: (unfit: boolean) => void;
  #transaction: TransactionName | undefined;
  #health: Health = 'fit';

  constructor(client: ClientBase, options: ConnectionOptions, onRelease: (unfit: boolean) => void) {
    this.#client = client;
    this.#options = options;
    this.#onRelease = onRelease;
    // Without a listener, a connection that dies between two statements of a transaction would end the process.
    client.on('error', this.#onError);
  }

  readonly #onError = (): void => {
    this.#health = 'lost';
  };

  async begin(): Promise<void> {
    // The level is set here because the role may have another default: a transaction of ours waits for a lock and then
    // reads what the one before it has committed, which is a serialization failure at any stricter level.
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
    this.#options.onCommit?.();
  }

  async rollback(): Promise<void> {
    // A lost connection has rolled back already, or its COMMIT decided; it is thrown away when released.
    if (this.#health === 'lost') return;
    // One that cannot even roll back is not fit for the next either.
    await this.#send('rollback').catch(() => {
      this.#health = 'lost';
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
      if (isConnectionLoss(error)) this.#health = 'lost';
      if (isReadTimeout(error)) this.#options.liveness.silentFor(this.#options.queryTimeoutMs);
      if (isReadOnly(error) && this.#health === 'fit') this.#health = 'unwanted';
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
    return this.#health === 'lost';
  }

  release(): void {
    this.#client.off('error', this.#onError);
    if (this.#health !== 'lost') this.#options.liveness.heard(this.#client);
    this.#onRelease(this.#health !== 'fit');
  }
}
