import { readFile, writeFile } from 'node:fs/promises';

import { pino } from 'pino';

import { buildApp } from '../src/app.ts';
import { createDatabase } from '../src/db/database.ts';
import { systemClock } from '../src/lib/clock.ts';
import { createMetrics } from '../src/lib/metrics.ts';
import { createServices } from '../src/services.ts';
import { readArguments, runScript } from './support/arguments.ts';

const FILE = 'docs/openapi.json';
const USAGE = `Writes ${FILE}, the document that the service serves at /openapi.json. No database is needed.

  npm run generate:openapi

  --verify   write nothing, and fail when the file is another

Exit code: 0 when it is the same, 1 when not, 2 for wrong arguments.
`;

await runScript(USAGE, async (args) => {
  const { verify } = readArguments(args, { verify: { type: 'boolean', default: false } });
  const document = await buildDocument();
  if (!verify) {
    await writeFile(FILE, document);
    return 0;
  }
  if (document === (await readFile(FILE, 'utf8'))) return 0;
  process.stderr.write(`${FILE} is not what the service serves; run npm run generate:openapi\n`);
  return 1;
});

async function buildDocument(): Promise<string> {
  const database = createDatabase({
    url: 'postgres://127.0.0.1:1/none',
    poolSize: 1,
    pgbouncer: false,
    onIdleError: () => undefined,
  });
  const app = await buildApp({
    config: { environment: 'test', webhookSecrets: ['unused'], trustProxy: [], allowedHosts: [] },
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
    logRequest: () => undefined,
  });
  await app.ready();
  const document = `${JSON.stringify(app.swagger(), null, 2)}\n`;
  await app.close();
  await database.close();
  return document;
}
