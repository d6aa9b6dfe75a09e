import { readFile, writeFile } from 'node:fs/promises';

import { pino } from 'pino';

import { buildApp } from '../src/app.ts';
import { createDatabase } from '../src/db/database.ts';
import { systemClock } from '../src/lib/clock.ts';
import { createMetrics } from '../src/lib/metrics.ts';
import { createServices } from '../src/services.ts';

/*
 * Writes docs/openapi.json, the document that the service serves at /openapi.json: for readers, for generated clients,
 * and for the linter. With --verify it fails when the committed file is another. No database is needed: none is asked.
 */
const FILE = 'docs/openapi.json';

const database = createDatabase({
  url: 'postgres://127.0.0.1:1/none',
  poolSize: 1,
  pgbouncer: false,
  onIdleError: () => undefined,
});
const app = await buildApp({
  config: { webhookSecrets: ['unused'], trustProxy: false },
  services: createServices({
    db: database.db,
    lane: database.lane,
    reports: database.reports,
    pool: database.pool,
    clock: systemClock,
    metrics: createMetrics(),
    orderTtlMinutes: 0,
  }),
  readiness: { isDraining: () => false, check: async () => undefined },
  logger: pino({ level: 'silent' }),
});
await app.ready();
const document = `${JSON.stringify(app.swagger(), null, 2)}\n`;
if (!process.argv.includes('--verify')) {
  await writeFile(FILE, document);
} else if (document !== (await readFile(FILE, 'utf8'))) {
  process.stderr.write(`${FILE} is not what the service serves; run npm run generate:openapi\n`);
  process.exitCode = 1;
}
await app.close();
await database.close();
