import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { migrateDatabase } from '../../src/db/connect.ts';
import { startEmbeddedPostgres } from '../../src/embedded/embedded.ts';

/** Runs work on a migrated database of its own, on a PostgreSQL that is gone afterwards. */
export async function withScratchDatabase<T>(work: (databaseUrl: string) => Promise<T>): Promise<T> {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'orders-inventory-scratch-'));
  const server = await startEmbeddedPostgres({ dataDir });
  try {
    await migrateDatabase({ url: server.adminUrl, pgbouncer: false, onIdleError: () => undefined });
    return await work(server.adminUrl);
  } finally {
    await server.stop();
    // Where user postgres cannot reach the temporary folder, the cluster lives elsewhere.
    await rm(path.dirname(server.dataDir), { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  }
}
