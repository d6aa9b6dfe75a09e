import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

import { buildApp } from './app.ts';
import { startBackground } from './background.ts';
import { type Config, DEVELOPMENT_WEBHOOK_SECRET, loadConfig, readEnvironment } from './config.ts';
import { migrateDatabase, requireReady } from './db/connect.ts';
import { createDatabase, type DatabaseOptions } from './db/database.ts';
import type { EmbeddedPostgres } from './embedded/embedded.ts';
import { closeApp, startDraining } from './http/drain.ts';
import { listen, requireFreePort } from './http/listen.ts';
import { systemClock } from './lib/clock.ts';
import { createMetrics, type Metrics } from './lib/metrics.ts';
import { ClosingStack, closeOnSignals, orAbort } from './lib/shutdown.ts';
import { StartupError } from './lib/startup-error.ts';
import { createLog, type Log } from './logger.ts';
import { createServices } from './services.ts';
import { sayStarted, sayStopped, summarize } from './start-summary.ts';

/**
 * For what is still under way when every request has its answer: nobody waits for it, and a database that has fallen
 * silent would not let it end.
 */
const LEFT_OVER_MS = 300;

/** Everything in the order it is needed; the signals close it in reverse, the database last. */
async function start(): Promise<void> {
  const config = loadConfig(readEnvironment());
  const metrics = createMetrics();
  const log = createLog(config, (lines) => metrics.logLinesLost.inc(lines));
  const opened = new ClosingStack();
  const stopping = new AbortController();
  const opening = open({ config, log, metrics, opened, stopping: stopping.signal });
  const close = async () => {
    stopping.abort();
    // A Ctrl-C while PostgreSQL starts must find it, to stop it again.
    await opening.catch(() => undefined);
    try {
      await opened.closeAll();
    } finally {
      await log.drain();
    }
  };
  closeOnSignals(
    async () => {
      await close();
      sayStopped(config, log);
      await log.drain();
    },
    (error) => log.logger.fatal({ err: error }, 'uncaught error'),
  );
  try {
    await opening;
  } catch (error) {
    // A signal came first: it closes what is open, and ends the process.
    if (stopping.signal.aborted) return;
    await close().catch(() => undefined);
    throw error;
  }
}

interface Opening {
  config: Config;
  log: Log;
  metrics: Metrics;
  opened: ClosingStack;
  stopping: AbortSignal;
}

async function open({ config, log, metrics, opened, stopping }: Opening): Promise<void> {
  const { logger } = log;
  await requireFreePort(config);
  const { ownerUrl, serviceUrl, stream } = await openDatabase(config, logger, opened);
  const options = {
    url: serviceUrl,
    stream,
    pgbouncer: config.databasePgbouncer,
    onIdleError: (error: Error) => logger.warn({ err: error }, 'lost an idle database connection'),
  };
  // Another instance may migrate for long. A signal does not wait for that: what is left behind commits whole or not
  // at all.
  const { migrated, newer } = await orAbort(migrateDatabase({ ...options, url: ownerUrl }), stopping);
  if (migrated.length > 0) logger.info({ migrated }, 'migrated');
  if (newer.length > 0)
    logger.info({ newer }, 'the database was migrated by a newer version; serving beside it');
  const database = createDatabase({ ...options, poolSize: config.databasePoolSize });
  opened.add(() => database.close(), LEFT_OVER_MS);

  const { orderTtlMinutes } = config;
  const services = createServices({
    database,
    clock: systemClock,
    metrics,
    orderTtlMinutes,
  });
  opened.add(() => services.stop(), LEFT_OVER_MS);
  const readiness = { isDraining: () => stopping.aborted, check: () => requireReady(database) };
  const app = await buildApp({ config, services, readiness, logger, logRequest: log.logRequest });
  await listen(app, config);
  // Not before: to build the app keeps the processor busy for seconds on a small machine, and a connection that is being
  // opened meanwhile runs into its timeout.
  const onError = (error: unknown, job: string) =>
    logger.warn({ err: error, job }, 'a background job failed');
  opened.add(startBackground(services, onError), LEFT_OVER_MS);
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
  sayStarted(summarize(addressOf(app), config, serviceUrl), log);
}

/** The database of DATABASE_URL, where one role does it all, or the embedded one. */
async function openDatabase(
  { databaseUrl, dataDir }: Config,
  logger: Logger,
  opened: ClosingStack,
): Promise<Pick<EmbeddedPostgres, 'ownerUrl' | 'serviceUrl'> & Pick<DatabaseOptions, 'stream'>> {
  if (databaseUrl !== undefined) return { ownerUrl: databaseUrl, serviceUrl: databaseUrl };
  const { startEmbeddedPostgres } = await import('./embedded/embedded.ts');
  const embedded = await startEmbeddedPostgres({ dataDir, onNotice: (text) => logger.info(text) });
  opened.add(() => embedded.stop());
  return embedded;
}

function addressOf(app: FastifyInstance): string {
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

// Whoever read it may have ended.
process.stderr.on('error', () => undefined);
start().catch((error: unknown) => {
  const text = error instanceof StartupError ? error.message : (error as Error).stack;
  process.stderr.write(`${text}\n`);
  process.exit(1);
});
