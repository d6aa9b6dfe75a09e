import { setImmediate as nextTurn } from 'node:timers/promises';

import type { CompiledQuery, Driver, QueryResult } from 'kysely';
import pg from 'pg';

import { createDeferred } from '../../lib/deferred.ts';
import { type ConnectionOptions, PgConnection } from './connection.ts';
import { destroySocket } from '../liveness.ts';
import { isConnectionLoss, NoConnectionError } from '../pg-errors.ts';
import type { Tx } from '../types.ts';

/*
 * One connection on which a transaction may begin before the one before it has been answered.
 *
 * Transactions take turns: a turn ends when its last statement has been answered, and COMMIT is sent right behind that
 * statement. So while PostgreSQL flushes one commit to disk, the BEGIN and the lock of the next transaction come to its
 * door, and no round trip lies between the two. A turn that ended any sooner would win nothing, for PostgreSQL works
 * through a connection in order; and it would leave out callers that arrive while the statement runs.
 *
 * What makes that safe:
 * - Once a COMMIT is sent, nothing more is sent for its transaction: a late ROLLBACK would hit the next one.
 * - The COMMIT of a transaction that failed is answered with the tag ROLLBACK and ends it; that tag is never success.
 * - A lost connection is lost for every transaction on it: uncertain for those whose COMMIT was sent, undone for others.
 */
export class PipelinedDriver implements Driver {
  readonly #config: pg.ClientConfig;
  readonly #options: ConnectionOptions;
  readonly #onLost: (error: Error) => void;
  readonly #onOpen: string | undefined;
  #client: pg.Client | undefined;
  #openedAt = 0;
  #turn: Promise<void> = Promise.resolve();
  readonly #underWay = new Set<Promise<void>>();

  /** @param hooks `onOpen` is sent first on each new connection */
  constructor(
    config: pg.ClientConfig,
    options: ConnectionOptions,
    { onLost, onOpen }: { onLost: (error: Error) => void; onOpen: string | undefined },
  ) {
    this.#config = { ...config, pipeline: true };
    this.#options = options;
    this.#onLost = onLost;
    this.#onOpen = onOpen;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<PipelinedConnection> {
    const before = this.#turn;
    const turn = createDeferred();
    this.#turn = turn.promise;
    await before;
    // Callers that have come in by now share this transaction, not the next: PostgreSQL is flushing meanwhile.
    await nextTurn();
    // A connection that other transactions still use has a timeout under way, which will find out.
    if (
      this.#client !== undefined &&
      this.#underWay.size === 0 &&
      this.#options.liveness.isDoubtful(this.#client)
    ) {
      const doubtful = this.#client;
      this.#discard(doubtful);
      destroySocket(doubtful);
    }
    try {
      await this.#endWhenOld();
      this.#client ??= await this.#connect();
    } catch (error) {
      turn.resolve();
      throw new NoConnectionError(error);
    }
    const client = this.#client;
    const done = createDeferred();
    this.#underWay.add(done.promise);
    const endTurn = (unfit: boolean) => {
      if (unfit && this.#client === client) this.#discard(client);
      turn.resolve();
    };
    return new PipelinedConnection(client, this.#options, {
      endTurn,
      onRelease: (unfit) => {
        this.#underWay.delete(done.promise);
        endTurn(unfit);
        done.resolve();
      },
    });
  }

  /** As the pool does with its own connections. Waits for transactions that still use it: a flush, once in a quarter of an hour. */
  async #endWhenOld(): Promise<void> {
    const old = this.#client;
    if (old === undefined || performance.now() - this.#openedAt < LIFETIME_MS) return;
    await Promise.all(this.#underWay);
    if (this.#client === old) this.#discard(old);
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(this.#config);
    client.on('error', (error) => {
      this.#onLost(error);
      if (this.#client === client) this.#discard(client);
    });
    await client.connect();
    if (this.#onOpen !== undefined) await client.query(this.#onOpen);
    this.#openedAt = performance.now();
    this.#options.liveness.heard(client);
    return client;
  }

  #discard(client: pg.Client): void {
    this.#client = undefined;
    client.end().catch(() => undefined);
  }

  async beginTransaction(connection: PipelinedConnection): Promise<void> {
    connection.beginWithoutWaiting();
  }

  async commitTransaction(connection: PipelinedConnection): Promise<void> {
    await connection.commit();
  }

  async rollbackTransaction(connection: PipelinedConnection): Promise<void> {
    await connection.rollback();
  }

  async releaseConnection(connection: PipelinedConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {
    // Those that still wait for their turn would open a connection after this one is closed.
    await this.#turn;
    await Promise.all(this.#underWay);
    await this.#client?.end();
  }
}

/** As long as that of a pooled connection (database.ts). */
const LIFETIME_MS = 15 * 60 * 1000;

/** Statements that their transaction ends with. */
const lastStatements = new WeakSet<CompiledQuery>();

/**
 * Runs the last statement of a transaction and sends COMMIT right behind it, in the same write: the answer to both
 * costs one round trip. On a connection that is not pipelined it is a statement like any other.
 */
export async function executeLast<R>(tx: Tx, query: CompiledQuery<R>): Promise<QueryResult<R>> {
  lastStatements.add(query);
  return tx.executeQuery(query);
}

class PipelinedConnection extends PgConnection {
  readonly #onTurnEnd: (lost: boolean) => void;
  #begun: Promise<void> = Promise.resolve();
  #committed: Promise<void> | undefined;

  constructor(
    client: pg.Client,
    options: ConnectionOptions,
    { endTurn, onRelease }: { endTurn: (lost: boolean) => void; onRelease: (unfit: boolean) => void },
  ) {
    super(client, options, onRelease);
    this.#onTurnEnd = endTurn;
  }

  /** The next transaction must not begin on a connection that this one knows to be lost. */
  readonly #endTurn = (): void => this.#onTurnEnd(this.isLost);

  beginWithoutWaiting(): void {
    this.#begun = this.begin();
    // The first statement reports it.
    this.#begun.catch(() => undefined);
  }

  /** Here Kysely takes it that the transaction has begun, and rolls it back itself when a statement has failed. */
  protected override async onFailedBegin(): Promise<void> {}

  override async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    // It would hit the next transaction, or none.
    if (this.#committed !== undefined) throw new Error('the COMMIT of this transaction has been sent');
    if (lastStatements.has(compiled)) return this.#executeLast<R>(compiled);
    // After a BEGIN that failed, a statement only says that its transaction is aborted, and the reason is there. Where
    // it failed before it began one (a cancel, a timeout), the statement ran by itself: its success, and its locks, are
    // void, and what is written next would be stored without them.
    try {
      return await super.executeQuery<R>(compiled);
    } finally {
      await this.#begun;
    }
  }

  async #executeLast<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    await this.#begun;
    const result = super.executeQuery<R>(compiled);
    this.#sendCommit();
    result.then(this.#endTurn, this.#endTurn);
    return result.catch((error: unknown) => {
      // Whether it is stored is for commit() to say, which goes down with the same connection.
      if (isConnectionLoss(error)) return { rows: [] };
      throw error;
    });
  }

  #sendCommit(): void {
    this.#committed = super.commit();
    this.#committed.catch(() => undefined);
  }

  override async commit(): Promise<void> {
    if (this.#committed === undefined) {
      this.#sendCommit();
      this.#endTurn();
    }
    await this.#committed;
  }

  override async rollback(): Promise<void> {
    if (this.#committed !== undefined) {
      // It has failed and ends by itself; wait, so that the connection is known to be free of it.
      await this.#committed.catch(() => undefined);
      return;
    }
    const sent = super.rollback();
    this.#endTurn();
    await sent;
  }
}
