import { readFile, writeFile } from 'node:fs/promises';

import { pino } from 'pino';

import { buildApp } from '../src/app.ts';
import { createDatabase } from '../src/db/database.ts';
import { systemClock } from '../src/lib/clock.ts';
import { createMetrics } from '../src/metrics.ts';
import { createServices } from '../src/services.ts';
import { readArguments, runScript } from './support/arguments.ts';
import { fillExamples } from './support/postman-examples.ts';

const FILE = 'docs/openapi.json';
const COLLECTION = 'postman/orders_inventory.json';
const USAGE = `Writes ${FILE}, the document that the service serves at /openapi.json, and the saved examples of
${COLLECTION}, which are its own. No database is needed.

  npm run generate:openapi

  --verify   write nothing, and fail when one of the files is another

Exit code: 0 when it is the same, 1 when not, 2 for wrong arguments.
`;

await runScript(USAGE, async (args) => {
  const { verify } = readArguments(args, { verify: { type: 'boolean', default: false } });
  const document = await buildDocument();
  // The formatter may lay the file out differently, so compare the content.
  const before = JSON.stringify(JSON.parse(await readFile(COLLECTION, 'utf8')));
  const collection = JSON.parse(before);
  fillExamples(collection.item, JSON.parse(document));
  if (!verify) {
    await writeFile(FILE, document);
    await writeFile(COLLECTION, `${JSON.stringify(collection, null, 2)}\n`);
    return 0;
  }
  if (document === (await readFile(FILE, 'utf8')) && before === JSON.stringify(collection)) return 0;
  process.stderr.write(
    `${FILE} is not what the service serves, or ${COLLECTION} has other examples; run npm run generate:openapi\n`,
  );
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
    config: {
      environment: 'test',
      webhookSecrets: ['unused'],
      stripe: { secrets: [], livemode: false },
      trustProxy: [],
      allowedHosts: [],
    },
    services: createServices({
      database,
      clock: systemClock,
      metrics: createMetrics(),
      outbound: { rules: { insecure: false }, secretsKeys: [], retentionDays: 0 },
      shop: { orderTtlMinutes: 0, currency: 'USD', paymentFailed: 'cancel' },
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
