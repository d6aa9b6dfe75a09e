// First of all, for the reason that it gives.
import './lib/tick-shape.ts';

import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

import { buildApp } from './app.ts';
import { type Config, DEVELOPMENT_WEBHOOK_SECRET, loadConfig, readEnvironment } from './config.ts';
import { migrateDatabase, requireReady } from './db/connect.ts';
import { createDatabase } from './db/database.ts';
import { startEmbeddedPostgres } from './db/embedded.ts';
import { closeApp, startDraining } from './http/drain.ts';
import { systemClock } from './lib/clock.ts';
import { createMetrics } from './lib/metrics.ts';
import { ClosingStack, closeOnSignals } from './lib/shutdown.ts';
import { StartupError } from './lib/startup-error.ts';
import { createLogger } from './logger.ts';
import { createServices, startBackground } from './services.ts';
import { startSummary } from './start-summary.ts';

/**
 * For what is still under way when every request has its answer: nobody waits for it, and a database that has fallen
 * silent would not let it end.
 */
const LEFT_OVER_MS = 300;

/** Everything in the order it is needed; the signals close it in reverse, the database last. */
async function start(): Promise<void> {
  const config = loadConfig(readEnvironment());
  const logger = createLogger(config);
  const opened = new ClosingStack();
  const state = { draining: false };
  const opening = open(config, logger, opened, () => state.draining);
  const close = async () => {
    state.draining = true;
    // A Ctrl-C while PostgreSQL starts must find it, to stop it again.
    await opening.catch(() => undefined);
    await opened.closeAll();
  };
  closeOnSignals(close, (error) => logger.fatal({ err: error }, 'uncaught error'));
  try {
    await opening;
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

async function open(config: Config, logger: Logger, opened: ClosingStack, isDraining: () => boolean) {
  const databaseUrl = config.databaseUrl ?? (await openEmbedded(config, logger, opened));
  const options = {
    url: databaseUrl,
    pgbouncer: config.databasePgbouncer,
    onIdleError: (error: Error) => logger.warn({ err: error }, 'lost an idle database connection'),
  };
  const migrated = await migrateDatabase(options);
  if (migrated.length > 0) logger.info({ migrated }, 'migrated');
  const database = createDatabase({ ...options, poolSize: config.databasePoolSize });
  opened.add(() => database.close(), LEFT_OVER_MS);

  const { orderTtlMinutes } = config;
  const services = createServices({
    ...database,
    clock: systemClock,
    metrics: createMetrics(),
    orderTtlMinutes,
  });
  opened.add(() => services.stop(), LEFT_OVER_MS);
  const onError = (error: unknown) => logger.warn({ err: error }, 'background work failed');
  opened.add(startBackground(services, onError), LEFT_OVER_MS);
  const readiness = { isDraining, check: () => requireReady(database) };
  const app = await buildApp({ config, services, readiness, logger });
  await listen(app, config);
  opened.add(() => closeApp(app));
  // First of all, once a signal has come: readiness is off, and the load balancer gets time to see it.
  opened.add(async () => {
    startDraining(app);
    await sleep(config.drainSeconds * 1000);
  });
  if (config.webhookSecrets.includes(DEVELOPMENT_WEBHOOK_SECRET)) {
    logger.warn('webhooks are verified with the secret of the examples; set WEBHOOK_SECRET');
  }
  process.stdout.write(startSummary(addressOf(app), config, databaseUrl));
}

async function openEmbedded(config: Config, logger: Logger, opened: ClosingStack): Promise<string> {
  const embedded = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    onNotice: (text) => logger.info(text),
  });
  opened.add(() => embedded.stop());
  return embedded.databaseUrl;
}

async function listen(app: FastifyInstance, { host, port }: Config): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      throw new StartupError(
        `Port ${port} on ${host} is in use. Stop what listens there, or set PORT to another one.`,
      );
    }
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new StartupError(`Cannot listen on ${host}:${port} (${code}). Set HOST and PORT to others.`);
    }
    throw error;
  }
}

function addressOf(app: FastifyInstance): string {
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

start().catch((error: unknown) => {
  const text = error instanceof StartupError ? error.message : (error as Error).stack;
  process.stderr.write(`${text}\n`);
  process.exit(1);
});
