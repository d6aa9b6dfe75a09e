import { loadDatabaseConfig, readEnvironment } from './config.ts';
import { migrateDatabase } from './db/connect.ts';
import { StartupError } from './lib/startup-error.ts';

/** `npm run migrate`: for deployments that migrate before they start the new version. */
async function migrate(): Promise<void> {
  const { databaseUrl, databasePgbouncer } = loadDatabaseConfig(readEnvironment());
  if (databaseUrl === undefined) {
    throw new StartupError('Set DATABASE_URL; the embedded PostgreSQL is migrated by npm start.');
  }
  const { migrated } = await migrateDatabase({
    url: databaseUrl,
    pgbouncer: databasePgbouncer,
    onIdleError: () => undefined,
  });
  process.stdout.write(migrated.length > 0 ? `migrated: ${migrated.join(', ')}\n` : 'nothing to migrate\n');
}

migrate().catch((error: unknown) => {
  process.stderr.write(`${error instanceof StartupError ? error.message : (error as Error).stack}\n`);
  process.exit(1);
});
