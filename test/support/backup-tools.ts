import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

import pg from 'pg';
import { inject } from 'vitest';

import { run } from '../../src/embedded/process.ts';
import { OwnPostgres } from './own-postgres.ts';

/** Longer than a small dump takes on a busy machine. */
const TIMEOUT_MS = 60_000;
/** Debian keeps each version in a folder of its own. */
const DEBIAN = '/usr/lib/postgresql';

/** pg_dump and pg_restore, and a server that they can read. */
export interface BackupTools {
  /** An address of a server on which databases may be made. */
  adminUrl: string;
  readonly dump: (databaseUrl: string, file: string) => Promise<void>;
  readonly restore: (file: string, databaseUrl: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * The newest tools that are installed. pg_dump refuses a server that is newer than itself; the test server may be, and
 * then the server that came with the tools is started instead.
 * @returns why there are none
 */
export async function findBackupTools(): Promise<BackupTools | string> {
  const [newest] = toolFolders().toSorted((a, b) => b.major - a.major);
  if (newest === undefined) return 'pg_dump is not installed, so no backup was tested';
  const { bin, major } = newest;
  const serverMajor = await majorOf(inject('adminUrl'));
  if (major >= serverMajor) return toolsIn(bin, inject('adminUrl'), async () => undefined);
  const programs = { initdb: path.join(bin, 'initdb'), pgCtl: path.join(bin, 'pg_ctl') };
  if (!existsSync(programs.initdb) || !existsSync(programs.pgCtl)) {
    return `pg_dump ${major} cannot read PostgreSQL ${serverMajor} and has no server beside it, so no backup was tested`;
  }
  const server = await OwnPostgres.create(programs);
  return toolsIn(bin, server.urlOf('postgres'), () => server.remove());
}

function toolFolders(): { bin: string; major: number }[] {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  // Of one version, those that may have a server beside them come first.
  const folders = [
    ...versions.map((version) => path.join(DEBIAN, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(path.delimiter),
  ];
  return folders.flatMap((bin) => {
    if (!existsSync(path.join(bin, 'pg_dump')) || !existsSync(path.join(bin, 'pg_restore'))) return [];
    const { stdout } = spawnSync(path.join(bin, 'pg_dump'), ['--version'], { encoding: 'utf8' });
    const major = Number(/ (\d+)/.exec(stdout)?.[1] ?? 0);
    return major > 0 ? [{ bin, major }] : [];
  });
}

async function majorOf(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
    return Math.floor(Number(rows[0]?.server_version_num) / 10_000);
  } finally {
    await client.end();
  }
}

/** The calls of docs/operations.md. */
function toolsIn(bin: string, adminUrl: string, close: () => Promise<void>): BackupTools {
  const call = async (program: string, args: string[]) => {
    const { code, output } = await run(path.join(bin, program), args, { timeoutMs: TIMEOUT_MS });
    if (code !== 0) throw new Error(`${program}: ${output}`);
  };
  return {
    adminUrl,
    dump: (databaseUrl, file) => call('pg_dump', ['--format=custom', `--file=${file}`, databaseUrl]),
    restore: (file, databaseUrl) =>
      call('pg_restore', ['--exit-on-error', '--no-owner', `--dbname=${databaseUrl}`, file]),
    close,
  };
}
