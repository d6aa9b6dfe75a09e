import { mkdtemp, rm, statfs } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import pg from 'pg';

import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import type { ClosingStack } from '../../src/lib/shutdown.ts';

export interface BenchPostgres {
  version: string;
  /** The settings that decide what a commit is worth. */
  settings: Record<string, string>;
  /** True when commits go to memory: then the figures leave out the disk. */
  inMemory: boolean;
  /** Makes an empty database, and drops it when the bench ends. @returns its URL */
  createDatabase(name: string): Promise<string>;
}

/** From statfs(2). */
const TMPFS_MAGIC = 0x01_02_19_94;

export async function openPostgres(opened: ClosingStack): Promise<BenchPostgres> {
  const given = process.env['BENCH_DATABASE_URL'];
  if (given !== undefined && given !== '') requireLoopback(given, 'BENCH_DATABASE_URL');
  const { url, dataDir } = given ? { url: given, dataDir: undefined } : await startOwn(opened);
  const admin = await connect(url, opened);
  const settings = await readSettings(admin);
  requireDurable(settings);
  const { rows } = await admin.query<{ server_version: string }>('show server_version');
  const inMemory = dataDir !== undefined && (await statfs(dataDir)).type === TMPFS_MAGIC;
  return {
    version: rows[0]?.server_version ?? '?',
    settings,
    inMemory,
    async createDatabase(purpose) {
      const name = `bench_${process.pid}_${purpose}`;
      await admin.query(`create database ${name}`);
      opened.add(() => admin.query(`drop database if exists ${name} with (force)`));
      const created = new URL(url);
      created.pathname = `/${name}`;
      return created.href;
    },
  };
}

async function startOwn(opened: ClosingStack): Promise<{ url: string; dataDir: string }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'orders-inventory-bench-'));
  opened.add(() => rm(folder, { recursive: true, force: true }));
  const starting = startEmbeddedPostgres({ dataDir: folder });
  // Registered before it is there, so that a Ctrl-C while it starts stops it too.
  opened.add(async () => {
    const server = await starting.catch(() => undefined);
    if (server === undefined) return;
    await server.stop();
    // Where the user of PostgreSQL cannot reach the temporary folder, the cluster lives elsewhere.
    await rm(path.dirname(server.dataDir), { recursive: true, force: true });
  });
  const server = await starting;
  return { url: server.databaseUrl, dataDir: server.dataDir };
}

export async function connect(url: string, opened: ClosingStack): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'bench' });
  // A query under way rejects by itself; an idle connection that ends while everything is closing is no news.
  client.on('error', () => undefined);
  await client.connect();
  opened.add(() => client.end());
  return client;
}

const SETTINGS = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size'];

async function readSettings(client: pg.Client): Promise<Record<string, string>> {
  const { rows } = await client.query<{ name: string; value: string }>(
    'select name, current_setting(name) as value from pg_settings where name = any($1) order by name',
    [SETTINGS],
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

/** A commit that is not on disk is not a commit; speeds measured that way would say nothing. */
function requireDurable(settings: Record<string, string>): void {
  for (const name of ['fsync', 'synchronous_commit']) {
    if (settings[name] !== 'on') {
      throw new Error(`PostgreSQL has ${name} = ${settings[name] ?? 'unknown'}; the bench needs it on.`);
    }
  }
}

/** Load is for one's own machine only. */
export function requireLoopback(url: string, name: string): void {
  if (!URL.canParse(url)) throw new Error(`${name} is not a URL.`);
  const { hostname } = new URL(url);
  if (!/^(127(\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname)) {
    throw new Error(`${name} must name a loopback address such as 127.0.0.1, not ${hostname || 'nothing'}.`);
  }
}
