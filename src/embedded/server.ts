/*
 * Starting, reaching and stopping the PostgreSQL of one home.
 *
 * Whether PostgreSQL runs is judged by a real connection to this very cluster, never by its lock file or by
 * `pg_ctl status`: a killed postmaster whose parent has not reaped it counts as running for both. And whether it may
 * be started is judged by PostgreSQL: we start it, it refuses while anything of an old one is alive, we try again.
 */
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { StartupError } from '../lib/startup-error.ts';
import type { Binaries } from './binaries.ts';
import type { Home } from './home.ts';
import { boundLog } from './log.ts';
import { type Account, run } from './process.ts';
import type { Passwords } from './roles.ts';
import { scramOnlySocket } from '../db/scram-only.ts';

export interface Cluster {
  readonly home: Home;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly settings: Readonly<Record<string, string>>;
  readonly defaultPort?: number | undefined;
  readonly passwords: Passwords;
}

/** A connection to the database `postgres` of a running cluster. */
export interface Reached {
  readonly client: Client;
  readonly port: number;
  /** Whether this call started PostgreSQL. */
  readonly started: boolean;
  /** Resolves when the connection ends, for any reason. */
  readonly ended: Promise<void>;
}

export interface ReachOptions {
  /** The required port. Without it: the last one used, if it is free. */
  readonly port?: number;
  readonly signal?: AbortSignal;
}

type Answer =
  | { readonly kind: 'ours'; readonly client: Client; readonly port: number; readonly ended: Promise<void> }
  | { readonly kind: 'down' | 'waking' | 'busy' | 'absent'; readonly reason: string };

const DEFAULT_PORT = 54_329;
const CONNECT_TIMEOUT_MS = 5_000;
// After a kill -9 the backends hold the shared memory until they notice, and a reaper may take seconds to remove the
// dead postmaster. A leftover that is still there after this long needs an operator.
const PATIENCE_MS = 15_000;
// Without a lock file no old server is left. Then a wrong setting or a full disk should be reported soon, and only a
// port that was taken between the check and the start is worth another try.
const PATIENCE_WITHOUT_LOCK_MS = 2_000;
// Crash recovery replays at most max_wal_size (1 GB), and syncs every file: a minute on a slow disk.
const RECOVERY_PATIENCE_MS = 300_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
// pg_ctl gives up waiting then, but leaves PostgreSQL to its recovery; the loop goes on asking it.
const START_WAIT_S = 10;
// A fast stop writes a checkpoint. When that takes longer, stop at once: the next start replays the log instead.
const STOPS = [
  ['fast', 8_000],
  ['immediate', 10_000],
] as const;
const STOP_POLL_MS = 10;
const PG_CTL_TIMEOUT_MS = 20_000;
const LOG_TAIL_LINES = 8;

// Passed at every start, so that a cluster made by an older version of the service has them too. No Unix socket: its
// path has a limit of about 100 characters, which DATA_DIR may well exceed.
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '128MB',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  logging_collector: 'off',
  // A refused row (a SKU that is taken) is no news, and each would leave 365 bytes. This level keeps the server's
  // messages about itself, and every reason why it does not start.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
};

/** Connects to the cluster, and starts PostgreSQL first when it is down. */
export async function reachServer(cluster: Cluster, options: ReachOptions = {}): Promise<Reached> {
  const begunAt = performance.now();
  let giveUpAt = begunAt + PATIENCE_WITHOUT_LOCK_MS;
  let started = false;
  let refusal: string | undefined;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const answer = await knock(cluster);
    if (answer.kind === 'ours') return { ...answer, started };
    const now = performance.now();
    if (answer.kind === 'waking') giveUpAt = Math.min(now + PATIENCE_MS, begunAt + RECOVERY_PATIENCE_MS);
    else if (answer.kind !== 'down') giveUpAt = Math.max(giveUpAt, begunAt + PATIENCE_MS);
    if (now > giveUpAt) {
      if (started) await stopServer(cluster).catch(() => undefined);
      throw await startFailed(cluster, refusal ?? answer.reason);
    }
    options.signal?.throwIfAborted();
    if (answer.kind === 'down' || answer.kind === 'absent') {
      const outcome = await start(cluster, options.port);
      if (outcome === 'started') {
        started = true;
        continue;
      }
      refusal = outcome;
    }
    // Not unref'ed at start, or an otherwise idle process would end here; the watcher's wait must not hold it up.
    await sleep(pauseMs, undefined, { ref: options.signal === undefined, signal: options.signal });
  }
}

async function startFailed(cluster: Cluster, reason: string): Promise<StartupError> {
  const { folder, log } = cluster.home;
  const text = await readFile(log, 'utf8').catch(() => '');
  const tail = text.trim().split('\n').slice(-LOG_TAIL_LINES).join('\n  ');
  return new StartupError(
    `PostgreSQL does not start in the data folder ${folder} (${reason}): mend what its log says, or set DATABASE_URL ` +
      `to a PostgreSQL that is running. The end of ${log}:\n  ${tail}`,
  );
}

/** Connects to the port in the lock file. The file may be stale, and a stranger may listen on the port. */
async function knock(cluster: Cluster): Promise<Answer> {
  const lock = await readLock(cluster);
  if (lock === undefined) return { kind: 'down', reason: 'it is not running' };
  const client = new Client({
    host: '127.0.0.1',
    port: lock.port,
    user: 'postgres',
    password: cluster.home.password,
    database: 'postgres',
    ssl: false,
    stream: scramOnlySocket,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'orders-inventory data folder lock',
  });
  const ended = new Promise<void>((resolve) => {
    client.once('end', resolve);
  });
  client.on('error', () => undefined); // the end event follows, and it decides
  try {
    await client.connect();
    const result = await client.query<{ folder: string }>(
      "select current_setting('data_directory') as folder",
    );
    if (path.resolve(result.rows[0]?.folder ?? '') === cluster.home.data) {
      return { kind: 'ours', client, port: lock.port, ended };
    }
    await client.end();
    return { kind: 'absent', reason: `another PostgreSQL answers on port ${lock.port}` };
  } catch (error) {
    void client.end().catch(() => undefined);
    const reason = error instanceof Error ? error.message : String(error);
    if (!(error instanceof DatabaseError)) return { kind: 'absent', reason };
    if (error.code === '57P03') return { kind: 'waking', reason };
    // 28xxx: it does not know our password, so it is not ours. Anything else (53300, too many clients) is said by a
    // server that is alive, which starting another would not help.
    return { kind: error.code?.startsWith('28') === true ? 'absent' : 'busy', reason };
  }
}

/** Runs `pg_ctl start`. @returns 'started', or the reason why not */
async function start(cluster: Cluster, port: number | undefined): Promise<string> {
  await clearZombieLock(cluster);
  await boundLog(cluster.home.log);
  const settings = { ...SETTINGS, ...cluster.settings };
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${quote(value)}`);
  const flags = ['-w', '-t', String(START_WAIT_S), '-l', cluster.home.log];
  const chosen = port ?? (await choosePort(cluster));
  const outcome = await pgCtl(cluster, 'start', ...flags, '-o', `-p ${chosen} ${options.join(' ')}`);
  // It runs, and is in recovery for longer than pg_ctl waits.
  if (outcome.output.includes('did not start in time')) return 'started';
  if (outcome.code === 0) return 'started';
  const lines = outcome.output.split('\n').filter((line) => !/^(waiting for|Examine) /.test(line));
  return lines.join(' ').replace('pg_ctl: ', '');
}

/** pg_ctl hands its options to a shell. */
function quote(value: string): string {
  return process.platform === 'win32' ? `"${value}"` : `'${value.replaceAll("'", `'\\''`)}'`;
}

function pgCtl(cluster: Cluster, ...args: string[]) {
  const options = { account: cluster.account, timeoutMs: PG_CTL_TIMEOUT_MS };
  return run(cluster.binaries.pgCtl, [...args, '-D', cluster.home.data], options);
}

/** The last port used, so that noted addresses stay right; else the default; else any free one. */
async function choosePort(cluster: Cluster): Promise<number> {
  const { defaultPort = DEFAULT_PORT } = cluster;
  // PostgreSQL writes this at every start, and leaves it there.
  const last = await readFile(path.join(cluster.home.data, 'postmaster.opts'), 'utf8').catch(() => '');
  const recorded = Number(/"-p" "(\d+)"/.exec(last)?.[1] ?? defaultPort);
  for (const port of [recorded, defaultPort]) {
    if ((await bind(port)) === port) return port;
  }
  // If another program takes the port before PostgreSQL does, this start fails and the next round takes another port.
  return (await bind(0)) ?? defaultPort;
}

/** Binds a port (0: a free one) for a moment; undefined when it is taken. */
function bind(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}

/**
 * Stops PostgreSQL, and resolves when it is down. This function waits for this postmaster, by its process id:
 * `pg_ctl -w stop` looks at the lock file, where the next service may have put its own postmaster by then.
 */
export async function stopServer(cluster: Cluster): Promise<void> {
  const first = await readLock(cluster);
  // A dead postmaster's number may be another process's by now, which pg_ctl would signal.
  if (first === undefined || !(await isPostmaster(first.pid))) return;
  let output = '';
  for (const [mode, waitMs] of STOPS) {
    const lock = await readLock(cluster);
    if (lock?.pid === first.pid) ({ output } = await pgCtl(cluster, 'stop', '-m', mode, '-W'));
    if (await isGone(first.pid, waitMs)) return;
  }
  throw new Error(`PostgreSQL in ${cluster.home.data} does not stop: ${output}`);
}

async function isGone(pid: number, withinMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + withinMs;
  while (await isPostmaster(pid)) {
    if (performance.now() > giveUpAt) return false;
    await sleep(STOP_POLL_MS);
  }
  return true;
}

interface Lock {
  readonly pid: number;
  readonly port: number;
}

async function readLock(cluster: Cluster): Promise<Lock | undefined> {
  const text = await readFile(path.join(cluster.home.data, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0] ?? '');
  const port = Number(lines[3] ?? '');
  // Half written, it has no port yet.
  return pid > 0 && port > 0 ? { pid, port } : undefined;
}

/**
 * A killed postmaster stays a zombie where the first process of a container reaps nothing, and PostgreSQL then takes
 * it for running, for ever. The kernel says that this one is dead, so its lock file goes. Its children, should any be
 * alive, are still safe: they are attached to the shared memory, for which a new postmaster looks by the data folder.
 */
async function clearZombieLock(cluster: Cluster): Promise<void> {
  const lock = await readLock(cluster);
  if (lock === undefined || (await processState(lock.pid)) !== 'postgres Z') return;
  await rm(path.join(cluster.home.data, 'postmaster.pid'), { force: true });
}

async function isPostmaster(pid: number): Promise<boolean> {
  const state = await processState(pid);
  if (state !== undefined) return state.startsWith('postgres ') && state !== 'postgres Z';
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The name of a process and its state letter, from /proc; undefined where there is none to read. */
async function processState(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const match = /^\d+ \((.*)\) (\S)/s.exec(text);
  return match === null ? undefined : `${match[1]} ${match[2]}`;
}
