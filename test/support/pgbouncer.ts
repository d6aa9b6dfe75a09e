import { existsSync } from 'node:fs';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import getPort from 'get-port';
import pg from 'pg';

import { type Child, startChild } from '../../scripts/support/children.ts';
import { type Account, serverAccount } from '../../src/embedded/process.ts';

/** Debian installs it where only root's PATH leads. */
const FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'];
/** It listens within milliseconds. */
const START_TIMEOUT_MS = 10_000;

/** The installed PgBouncer, if there is one. */
export function findPgbouncer(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), ...FOLDERS];
  return folders.map((folder) => path.join(folder, 'pgbouncer')).find((program) => existsSync(program));
}

/** PgBouncer in transaction mode, in front of all databases of one server. */
export class PgBouncer {
  readonly #program: string;
  readonly #account: Account | undefined;
  readonly #settings: string;
  readonly #serverUrl: string;
  readonly #port: number;
  #child: Child | undefined;

  private constructor(
    program: string,
    account: Account | undefined,
    settings: string,
    serverUrl: string,
    port: number,
  ) {
    this.#program = program;
    this.#account = account;
    this.#settings = settings;
    this.#serverUrl = serverUrl;
    this.#port = port;
  }

  /** @param serverUrl any database of the server; its user is the one that PgBouncer logs in as */
  static async start(program: string, serverUrl: string): Promise<PgBouncer> {
    // It refuses to run as root, as PostgreSQL does.
    const account = await serverAccount();
    const folder = await mkdtemp(path.join(tmpdir(), 'pgbouncer-'));
    const port = await getPort({ host: '127.0.0.1' });
    const settings = path.join(folder, 'pgbouncer.ini');
    await writeFile(settings, settingsFor(new URL(serverUrl), port), { mode: 0o600 });
    if (account !== undefined) await giveTo(account, folder, settings);
    const pgbouncer = new PgBouncer(program, account, settings, serverUrl, port);
    await pgbouncer.begin();
    return pgbouncer;
  }

  /** A database of the server as seen through PgBouncer. */
  urlOf(databaseUrl: string): string {
    const url = new URL(databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.#port);
    return url.href;
  }

  /** Runs it, and waits until it answers. */
  async begin(): Promise<void> {
    const child = startChild(this.#program, ['-q', this.#settings], { ...this.#account, cwd: '/' });
    this.#child = child;
    const giveUpAt = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const client = new pg.Client({ connectionString: this.urlOf(this.#serverUrl) });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return await client.end();
      } catch (error) {
        if (child.exitCode !== null || Date.now() > giveUpAt) {
          await this.stop();
          throw new Error('PgBouncer does not start', { cause: error });
        }
        await sleep(20);
      }
    }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child?.kill(signal);
    await this.#child;
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await rm(path.dirname(this.#settings), { recursive: true, force: true });
  }
}

function settingsFor(server: URL, port: number): string {
  const target = {
    host: server.hostname,
    port: server.port || '5432',
    user: decodeURIComponent(server.username),
    ...(server.password === '' ? {} : { password: decodeURIComponent(server.password) }),
  };
  const words = Object.entries(target).map(([name, value]) => `${name}='${value.replaceAll("'", "''")}'`);
  return [
    '[databases]',
    `* = ${words.join(' ')}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    // Two services a test, of eleven connections each.
    'max_client_conn = 1000',
    // It asks PostgreSQL again 15 s after a failure, unless it is told not to wait for so long.
    'server_login_retry = 1',
    '',
  ].join('\n');
}

async function giveTo({ uid, gid }: Account, ...paths: string[]): Promise<void> {
  for (const each of paths) await chown(each, uid, gid);
}
