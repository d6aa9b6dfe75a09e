import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { loadConfig, readEnvironment } from '../src/config.ts';
import { DATABASE, OWNER } from '../src/embedded/roles.ts';
import { readArguments, runScript, UsageError } from './support/arguments.ts';

const USAGE = `Opens psql on the service's database: the embedded one below DATA_DIR while the service runs, or that of DATABASE_URL.

  npm run db-shell

  --help  This text.
`;

await runScript(USAGE, async (args) => {
  readArguments(args, {});
  const { databaseUrl, dataDir } = loadConfig({ ...readEnvironment(), NODE_ENV: 'development' });
  // A password among the arguments would be there for every user of this machine to read.
  const env =
    databaseUrl === undefined ? await embeddedEnvironment(dataDir) : environmentOf(new URL(databaseUrl));
  // It answers Ctrl-C by itself, by ending the query that runs.
  process.on('SIGINT', () => undefined);
  const psql = spawn('psql', [], { env: { ...process.env, ...env }, stdio: 'inherit' });
  const [code] = await once(psql, 'exit').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new UsageError(
      'psql is not installed, and the embedded PostgreSQL comes without it. Install it: postgresql-client on Debian, ' +
        'libpq with Homebrew.',
    );
  });
  return Number(code ?? 1);
});

/** As the owner, so that objects made by hand can be used and migrated like all others. */
async function embeddedEnvironment(dataDir: string): Promise<Record<string, string>> {
  const home = path.join(dataDir, 'postgres');
  const password = await readFile(path.join(home, 'password'), 'utf8').catch(() => undefined);
  const lock = await readFile(path.join(home, 'data', 'postmaster.pid'), 'utf8').catch(() => undefined);
  const port = lock?.split('\n')[3];
  if (password === undefined || !port) {
    throw new UsageError(
      `No database runs in ${dataDir}. Start the service first, or set DATA_DIR or DATABASE_URL.`,
    );
  }
  return {
    PGHOST: '127.0.0.1',
    PGPORT: port,
    PGUSER: 'postgres',
    PGPASSWORD: password.trim(),
    PGDATABASE: DATABASE,
    PGOPTIONS: `-c role=${OWNER}`,
    PGSSLMODE: 'disable',
    // psql 16 and newer then gives its password to nothing that asks for it in clear.
    PGREQUIREAUTH: 'scram-sha-256',
  };
}

function environmentOf(url: URL): Record<string, string> {
  const { searchParams: query } = url;
  const all = {
    PGHOST: query.get('host') ?? url.hostname,
    PGPORT: query.get('port') ?? url.port,
    PGUSER: query.get('user') ?? decodeURIComponent(url.username),
    PGPASSWORD: query.get('password') ?? decodeURIComponent(url.password),
    PGDATABASE: decodeURIComponent(url.pathname.slice(1)),
    PGSSLMODE: query.get('sslmode') ?? '',
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
}
