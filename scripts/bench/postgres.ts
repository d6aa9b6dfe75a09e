import { statfs } from 'node:fs/promises';

import type pg from 'pg';

import type { ClosingStack } from '../../src/lib/shutdown.ts';
import { ScriptFailure } from '../support/arguments.ts';
import { requireLoopback } from '../support/environment.ts';
import { connect, openPostgres, type Postgres } from '../support/postgres.ts';

export interface BenchPostgres extends Postgres {
  version: string;
  /** The settings that decide what a commit is worth. */
  settings: Record<string, string>;
  /** True when commits go to memory: then the figures leave out the disk. */
  inMemory: boolean;
}

/** From statfs(2). */
const TMPFS_MAGIC = 0x01_02_19_94;

export async function openBenchPostgres(opened: ClosingStack): Promise<BenchPostgres> {
  const given = process.env['BENCH_DATABASE_URL'];
  if (given !== undefined && given !== '') requireLoopback(given, 'BENCH_DATABASE_URL');
  const postgres = await openPostgres(opened, given, 'bench');
  const admin = await connect(postgres.url, opened, 'bench');
  const settings = await readSettings(admin);
  requireDurable(settings);
  const { rows } = await admin.query<{ server_version: string }>('show server_version');
  const { dataDir } = postgres;
  const inMemory = dataDir !== undefined && (await statfs(dataDir)).type === TMPFS_MAGIC;
  if (dataDir !== undefined && !inMemory) await growLog(admin);
  return { ...postgres, version: rows[0]?.server_version ?? '?', settings, inMemory };
}

/** As many of 16 MB as a checkpoint keeps with the default max_wal_size. */
const LOG_FILES = 64;

/**
 * A server that has been at work writes into the log files of before. A new one makes each while a commit waits for it:
 * 16 MB on disk for every 11,000 orders, which took a fifth of them.
 */
async function growLog(admin: pg.Client): Promise<void> {
  await admin.query(
    `select pg_logical_emit_message(false, 'bench', 'next file'), pg_switch_wal() from generate_series(1, ${LOG_FILES})`,
  );
  await admin.query('checkpoint');
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
      throw new ScriptFailure(
        `PostgreSQL has ${name} = ${settings[name] ?? 'unknown'}; the bench needs it on.`,
      );
    }
  }
}
