import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

import { buildApp } from './app.ts';
import { workOf } from './background.ts';
import { requireReady } from './db/connect.ts';
import { closeApp, startDraining } from './http/drain.ts';
import { listen, requireFreePort } from './http/listen.ts';
import { openBackground, type Opening, openServices, startProcess } from './start.ts';
import { DEVELOPMENT_WEBHOOK_SECRET } from './settings.ts';
import { sayStarted, summarize } from './start-summary.ts';

startProcess(async (opening: Opening) => {
  const { config, log, opened, stopping } = opening;
  const { logger, logRequest } = log;
  await requireFreePort(config);
  const { database, services, databaseUrl } = await openServices(opening);
  const readiness = { isDraining: () => stopping.aborted, check: () => requireReady(database) };
  const app = await buildApp({ config, services, readiness, logger, logRequest });
  await listen(app, config);
  openBackground(opening, services, workOf(config));
  opened.add(() => closeApp(app));
  // First of all, once a signal has come: readiness is off, and the load balancer gets time to see it.
  opened.add(async () => {
    startDraining(app);
    await sleep(config.drainSeconds * 1000);
  });
  if (config.webhookSecrets.includes(DEVELOPMENT_WEBHOOK_SECRET)) {
    logger.warn('webhooks are verified with the secret of the examples; set WEBHOOK_SECRET');
  }
  if (config.environment === 'production')
    logger.warn('there are no API keys yet: every caller is let in (ALLOW_OPEN)');
  sayStarted(summarize(addressOf(app), config, databaseUrl), log);
});

function addressOf(app: FastifyInstance): string {
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
