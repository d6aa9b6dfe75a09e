/*
 * The embedded PostgreSQL: a real one, under DATA_DIR, for a service without DATABASE_URL.
 *
 * It is no child process: it survives a crash of the service, the next start finds it again, and the Ctrl-C that stops
 * the service does not stop the database under its last requests. One service at a time owns a data folder. The owner
 * holds an advisory lock on a connection that stays open as long as the service runs, so that the lock ends with the
 * process, however that ends. Only the owner stops PostgreSQL.
 *
 * The same connection is the watch: when it ends, the service starts PostgreSQL again, on the same port.
 */
import type { Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { StartupError } from '../lib/startup-error.ts';
import { prepareBinaries, type Places } from './binaries.ts';
import { accountFor, openHome } from './home.ts';
import { errorText } from './process.ts';
import { boundLog } from './log.ts';
import { makePasswords, prepareDatabase, urlOf, urlsOf } from './roles.ts';
import { scramOnlySocket } from '../db/scram-only.ts';
import { type Cluster, type Reached, type ReachOptions, reachServer, stopServer } from './server.ts';

export interface EmbeddedPostgres {
  /** The service's own role: it owns nothing and is no superuser. */
  readonly serviceUrl: string;
  /** The owner of the database; migrations run as this role. */
  readonly ownerUrl: string;
  /** For every connection: a stranger that listens on the port of a dead server gets no password. */
  readonly stream: () => Socket;
  /** The superuser's, for tests and scripts that make databases of their own. */
  readonly adminUrl: string;
  /** PostgreSQL's data directory, with symlinks resolved. */
  readonly dataDir: string;
  /** Stops PostgreSQL, and resolves when it is down. Close the pool first. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** The DATA_DIR setting, absolute or relative. */
  dataDir: string;
  /** Progress, and the watcher's news. */
  onNotice?: (text: string) => void;
  /** PostgreSQL settings that go before ours. */
  serverSettings?: Record<string, string>;
}

// Advisory locks are per database, and no other program takes one in `postgres`; the number is arbitrary.
const OWNER_LOCK = 7_221_040_851;
// The backend of a killed owner ends as soon as the kernel has closed its connection.
const LOCK_PATIENCE_MS = 5_000;
const LOCK_PAUSE_MS = 100;
// An owner that is stopping may stop PostgreSQL just as this start gets the lock. Then this start starts it again.
const TAKE_OVER_ATTEMPTS = 3;
// PostgreSQL's log of one minute, even with connections that fail in a loop, is small beside the bound.
const LOG_CHECK_MS = 60_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Starts PostgreSQL under DATA_DIR, or finds it running there, and creates what is missing.
 * @param places for tests
 * @throws StartupError
 */
export async function startEmbeddedPostgres(
  options: EmbeddedOptions,
  places: Places = {},
): Promise<EmbeddedPostgres> {
  const folder = path.resolve(options.dataDir);
  const notice = options.onNotice ?? (() => undefined);
  const account = await accountFor(folder);
  const binaries = await prepareBinaries(account, places);
  checkPath(folder, 'Set DATA_DIR to another folder.');
  checkPath(binaries.pgCtl, 'Move the project to another folder.');
  const { sharedRoot, defaultPort } = places;
  const home = await openHome({ folder, binaries, account, sharedRoot, notice });
  const settings = options.serverSettings ?? {};
  const cluster: Cluster = { home, binaries, account, settings, defaultPort, passwords: makePasswords() };
  const session = await takeOver(cluster);
  const keeper = keep(cluster, session, notice);
  return {
    ...urlsOf(session.port, cluster.passwords),
    stream: scramOnlySocket,
    adminUrl: urlOf('postgres', home.password, session.port),
    dataDir: home.data,
    stop: () => keeper.stop(),
  };
}

/** pg_ctl puts these paths into a shell command between double quotes, and escapes nothing in them. */
function checkPath(name: string, remedy: string): void {
  const forbidden = process.platform === 'win32' ? /["%\n]/ : /["$`\\\n]/;
  if (!forbidden.test(name)) return;
  throw new StartupError(
    `PostgreSQL cannot start from ${name}, because a character in it is special to the shell. ${remedy}`,
  );
}

class FolderInUse extends StartupError {}

/** Connects to PostgreSQL and becomes the owner. On failure, stops the server it started, unless another owns it. */
async function takeOver(cluster: Cluster, options: ReachOptions = {}): Promise<Reached> {
  let started = false;
  for (let attempt = 1; ; attempt += 1) {
    const reached = await reachServer(cluster, options);
    started ||= reached.started;
    try {
      await lock(cluster, reached.client);
      // Under the owner's lock, so that no other start does the same at once.
      const address = { port: reached.port, adminPassword: cluster.home.password };
      await prepareDatabase(reached.client, address, cluster.passwords);
      return reached;
    } catch (error) {
      await reached.client.end();
      if (error instanceof FolderInUse) throw error;
      if (attempt < TAKE_OVER_ATTEMPTS) continue;
      if (started) await stopServer(cluster).catch(() => undefined);
      throw new StartupError(
        `PostgreSQL in the data folder ${cluster.home.folder} started but does not work (${errorText(error)}): ` +
          `mend that (its log is ${cluster.home.log}), or set DATABASE_URL to a PostgreSQL that is running.`,
        { cause: error },
      );
    }
  }
}

async function lock(cluster: Cluster, client: Client): Promise<void> {
  const giveUpAt = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    const result = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
      OWNER_LOCK,
    ]);
    if (result.rows[0]?.locked === true) return;
    if (performance.now() > giveUpAt) {
      throw new FolderInUse(
        `The data folder ${cluster.home.folder} is in use by another running service. ` +
          'Stop that one, or set DATA_DIR to another folder.',
      );
    }
    await sleep(LOCK_PAUSE_MS);
  }
}

/** Watches over PostgreSQL until stop() is called. */
function keep(cluster: Cluster, first: Reached, notice: (text: string) => void): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { port } = first;
  let session = first;
  let lostToAnother = false;
  let recovery = Promise.resolve();
  let stopped: Promise<void> | undefined;

  const watch = async (): Promise<void> => {
    await session.ended;
    if (!signal.aborted) recovery = recover();
  };

  // Never rejects, and never gives up: the service needs a database, and the cause may go away.
  const recover = async (): Promise<void> => {
    notice('PostgreSQL went away; starting it again if it is down.');
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        session = await takeOver(cluster, { port, signal });
        lostToAnother = false;
        notice('PostgreSQL is back.');
        void watch();
        return;
      } catch (error) {
        lostToAnother = error instanceof FolderInUse;
        if (!signal.aborted) notice(errorText(error));
        await sleep(pauseMs, undefined, { ref: false, signal }).catch(() => undefined);
      }
    }
  };

  const logBound = setInterval(() => void boundLog(cluster.home.log), LOG_CHECK_MS);
  logBound.unref();

  const stop = async (): Promise<void> => {
    stopping.abort();
    clearInterval(logBound);
    await recovery;
    // Keep the lock until PostgreSQL is down, so that a waiting start does not connect to a server that is stopping.
    try {
      if (!lostToAnother) await stopServer(cluster);
    } finally {
      await session.client.end();
    }
  };

  void watch();
  return {
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}
