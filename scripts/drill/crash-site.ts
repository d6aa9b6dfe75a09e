import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { startEmbeddedPostgres } from '../../src/embedded/embedded.ts';
import { makeDataFolder } from '../support/postgres.ts';
import type { ServiceClient } from '../support/service-client.ts';
import { type ServiceProcess, startService } from '../support/service-process.ts';
import type { DrillRun } from './drill.ts';
import { clientOf, onceQuery, WEBHOOK_SECRET } from './ground.ts';

/** The targets of a kill, from one connection to everything at once. */
export const KILLS = ['backend ended', 'service', 'backend killed', 'PostgreSQL', 'everything'] as const;
export type Kill = (typeof KILLS)[number];

const DATABASE = 'orders_inventory';
/** The application name of the service's own connections. */
const SERVICE_CONNECTIONS = "application_name = 'orders-inventory' and datname = current_database()";
/** One that is at work, if there is one. */
const ONE_BACKEND = `select pid from pg_stat_activity where ${SERVICE_CONNECTIONS}
  order by state = 'idle', random() limit 1`;

/**
 * The service as `npm start` runs it, with its embedded PostgreSQL below a DATA_DIR of the drill, and the means to kill
 * any part of both. Only processes are killed that this service has started, and each by its id.
 */
export class CrashSite {
  readonly client: ServiceClient;
  readonly #run: DrillRun;
  readonly #env: Record<string, string>;
  #service: ServiceProcess;

  private constructor(run: DrillRun, env: Record<string, string>, service: ServiceProcess) {
    this.#run = run;
    this.#env = env;
    this.#service = service;
    this.client = clientOf(service.url);
  }

  /** @param settings of the service, besides its own folder and secret */
  static async open(run: DrillRun, settings: Record<string, string> = {}): Promise<CrashSite> {
    const { opened, children } = run;
    const dataDir = await makeDataFolder(opened, 'drill');
    // The last start may have been killed before it could stop its PostgreSQL, so it is taken over and stopped.
    opened.add(async () => (await startEmbeddedPostgres({ dataDir })).stop());
    opened.add(() => children.stopAll());
    const env = { DATA_DIR: dataDir, WEBHOOK_SECRET, ...settings };
    return new CrashSite(run, env, await startService(children, env));
  }

  /** The service must outlive every fault of its database. */
  get hasEndedByItself(): boolean {
    return this.#service.ended();
  }

  /** Kills the target, and restarts it if nothing else does. */
  async kill(what: Kill): Promise<void> {
    switch (what) {
      case 'service':
        await this.#service.kill();
        return this.#startAgain();
      case 'backend ended':
        await this.#query(`select pg_terminate_backend(pid) from (${ONE_BACKEND}) as one`);
        return undefined;
      case 'backend killed':
        return kill(await this.#pids(ONE_BACKEND));
      case 'PostgreSQL':
        return kill(await this.#allOfPostgres());
      case 'everything': {
        const pids = await this.#allOfPostgres();
        const killed = this.#service.kill();
        kill(pids);
        await killed;
        return this.#startAgain();
      }
    }
  }

  /**
   * The control: from now on PostgreSQL says COMMIT before it is on disk, and writes each 2 s, so that a slow machine
   * loses as surely as a fast one. It is said of the database and not of the server, because the service starts its
   * server with the setting on.
   */
  async loseDurability(): Promise<void> {
    await this.#query(`alter database ${DATABASE} set synchronous_commit = off`);
    await this.#query("alter system set wal_writer_delay = '2s'");
    // Settings of a database hold for connections that are made after them.
    await this.#service.stop();
    await this.#startAgain();
  }

  async #startAgain(): Promise<void> {
    const port = Number(new URL(this.#service.url).port);
    this.#service = await startService(this.#run.children, this.#env, { port });
  }

  /** The postmaster first, so that it does not begin to recover from the loss of the others. */
  async #allOfPostgres(): Promise<number[]> {
    const { pid } = await this.#postmaster();
    return [pid, ...(await this.#pids('select pid from pg_stat_activity where pid <> pg_backend_pid()'))];
  }

  async #pids(text: string): Promise<number[]> {
    return (await this.#query<{ pid: number }>(text)).map(({ pid }) => pid);
  }

  async #query<R extends object>(text: string): Promise<R[]> {
    const password = await readFile(this.#file('password'), 'utf8');
    const { port } = await this.#postmaster();
    return onceQuery(`postgres://postgres:${password.trim()}@127.0.0.1:${port}/${DATABASE}`, text);
  }

  async #postmaster(): Promise<{ pid: number; port: number }> {
    const lines = (await readFile(this.#file('data/postmaster.pid'), 'utf8')).split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3]) };
  }

  #file(name: string): string {
    return path.join(this.#env['DATA_DIR'] ?? '', 'postgres', name);
  }
}

function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // It has ended since it was listed.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
