import type { Driver } from 'kysely';
import type { Pool, PoolClient } from 'pg';

import { destroySocket } from '../liveness.ts';
import { NoConnectionError, ShareFullError } from '../pg-errors.ts';
import { type ConnectionOptions, PgConnection } from './connection.ts';

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
