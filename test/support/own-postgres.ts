import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import getPort, { portNumbers } from 'get-port';
import pg from 'pg';

import { migrateDatabase } from '../../src/db/connect.ts';
import { type Binaries, prepareBinaries } from '../../src/embedded/binaries.ts';
import { type Account, run, serverAccount } from '../../src/embedded/process.ts';
import type { TestDatabase } from './database.ts';

/** Longer than any of them takes on a busy machine. */
const PG_CTL_TIMEOUT_MS = 60_000;
/** Below the ports that the kernel gives to clients: none of them takes this server's port while it is down. */
const PORTS = { first: 10_000, last: 19_999 };

/** Owns the databases of services. It is no superuser, so that limits and settings apply to it. */
const OWNER = 'shop';
const TEMPLATE = 'shop_template';

/** Asked as a superuser, on a connection of its own each time, for none survives what is done to this server. */
export interface OwnDatabase extends TestDatabase {
  name: string;
}

/** A PostgreSQL of one test file, that may be stopped, killed and frozen without harm to the other files. */
export class OwnPostgres {
  readonly port: number;
  readonly #folder: string;
  readonly #account: Account | undefined;
  readonly #binaries: Pick<Binaries, 'initdb' | 'pgCtl'>;
  readonly #frozen = new Set<number>();
  #databases = 0;

  private constructor(
    folder: string,
    port: number,
    account: Account | undefined,
    binaries: Pick<Binaries, 'initdb' | 'pgCtl'>,
  ) {
    this.#folder = folder;
    this.port = port;
    this.#account = account;
    this.#binaries = binaries;
  }

  /** Makes an empty cluster and starts it. Without programs given, they are those of the embedded PostgreSQL. */
  static async create(programs?: Pick<Binaries, 'initdb' | 'pgCtl'>): Promise<OwnPostgres> {
    const account = await serverAccount();
    const binaries = programs ?? (await prepareBinaries(account));
    const folder = await mkdtemp(path.join(tmpdir(), 'own-postgres-'));
    await chmod(folder, 0o700);
    if (account !== undefined) await chown(folder, account.uid, account.gid);
    const own = new OwnPostgres(
      folder,
      await getPort({ host: '127.0.0.1', port: portNumbers(PORTS.first + (process.pid % 9000), PORTS.last) }),
      account,
      binaries,
    );
    await own.#run(binaries.initdb, [
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--auth=trust',
      '--username=postgres',
    ]);
    await own.start();
    await own.query('postgres', `create role ${OWNER} login`);
    await own.query('postgres', `create database ${TEMPLATE} owner ${OWNER}`);
    await migrateDatabase({
      url: own.urlOf(TEMPLATE, OWNER),
      pgbouncer: false,
      onIdleError: () => undefined,
    });
    return own;
  }

  async start(): Promise<void> {
    const settings = [
      `-p ${this.port}`,
      '-c listen_addresses=127.0.0.1',
      '-c unix_socket_directories=',
      '-c timezone=UTC',
    ];
    const log = path.join(this.#folder, 'postgres.log');
    await this.#pgCtl('start', '-w', '-l', log, '-o', settings.join(' '));
  }

  /** fast: connections are ended; immediate: everything is killed, and the next start recovers. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#pgCtl('stop', '-w', '-m', mode);
  }

  /** A migrated database, empty but for its schema. */
  async createDatabase(template = TEMPLATE): Promise<OwnDatabase> {
    this.#databases += 1;
    const name = `shop_${this.#databases}`;
    await this.query('postgres', `create database ${name} template ${template} owner ${OWNER}`);
    return {
      name,
      url: this.urlOf(name, OWNER),
      query: (text, values) => this.query(name, text, values),
      // It goes with the server.
      drop: async () => undefined,
    };
  }

  urlOf(database: string, user = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}`;
  }

  async query<R extends pg.QueryResultRow>(database: string, text: string, values: unknown[] = []) {
    const client = new pg.Client({ connectionString: this.urlOf(database) });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<R>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Stops a backend as a debugger or a stuck disk does: it holds what it holds, and says nothing. */
  freeze(pid: number): void {
    process.kill(pid, 'SIGSTOP');
    this.#frozen.add(pid);
  }

  thaw(): void {
    for (const pid of this.#frozen) {
      try {
        process.kill(pid, 'SIGCONT');
      } catch {
        // It was killed meanwhile.
      }
    }
    this.#frozen.clear();
  }

  async remove(): Promise<void> {
    this.thaw();
    await this.stop('immediate').catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #pgCtl(...args: string[]): Promise<void> {
    return this.#run(this.#binaries.pgCtl, args);
  }

  async #run(program: string, args: string[]): Promise<void> {
    const data = path.join(this.#folder, 'data');
    const options = { account: this.#account, timeoutMs: PG_CTL_TIMEOUT_MS };
    const { code, output } = await run(program, [...args, '-D', data], options);
    if (code !== 0) throw new Error(`${path.basename(program)} ${args[0]}: ${output}`);
  }
}
