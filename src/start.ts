import type { Logger } from 'pino';

import { type BackgroundWork, startBackground } from './background.ts';
import { type Config, loadConfig, readEnvironment } from './config.ts';
import { migrateDatabase } from './db/connect.ts';
import { createDatabase, type Database, type DatabaseOptions } from './db/database.ts';
import type { EmbeddedPostgres } from './embedded/embedded.ts';
import { systemClock } from './lib/clock.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { ClosingStack, closeOnSignals, orAbort } from './lib/shutdown.ts';
import { StartupError } from './lib/startup-error.ts';
import { createLog, type Log } from './logger.ts';
import { createServices, type Services } from './services.ts';
import { sayStopped } from './start-summary.ts';

/*
 * What every process of the service opens, in the order in which one needs the other: settings, log, database,
 * services. The signals close it in reverse, the database last.
 */

/**
 * For work that is still under way when every request has its answer: no caller waits for it, and a database that has
 * fallen silent would not let it end.
 */
const LEFT_OVER_MS = 300;

/** What a process has from its first moment on. */
export interface Opening {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What is open. It is closed in reverse. */
  readonly opened: ClosingStack;
  /** Aborted by the signal that stops the process. */
  readonly stopping: AbortSignal;
}

/** Runs a process: `open` opens everything, and a signal closes it. Ends the process when it cannot start. */
export function startProcess(open: (opening: Opening) => Promise<void>): void {
  // The reader of stderr may have ended.
  process.stderr.on('error', () => undefined);
  run(open).catch((error: unknown) => {
    const text = error instanceof StartupError ? error.message : (error as Error).stack;
    process.stderr.write(`${text}\n`);
    process.exit(1);
  });
}

async function run(open: (opening: Opening) => Promise<void>): Promise<void> {
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

export interface Opened {
  readonly database: Database;
  readonly services: Services;
  /** Where the service's own role reaches the database. */
  readonly databaseUrl: string;
}

/** Opens the database, brings it up to date, and puts the services on it. */
export async function openServices({ config, log, metrics, opened, stopping }: Opening): Promise<Opened> {
  const { logger } = log;
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

  const {
    shop,
    lowStockThreshold,
    eventRetentionDays,
    secretsKeys,
    allowInsecureEndpoints: insecure,
  } = config;
  const outbound = { rules: { insecure }, secretsKeys, retentionDays: config.deliveryRetentionDays };
  const given = {
    database,
    clock: systemClock,
    metrics,
    shop,
    lowStockThreshold,
    eventRetentionDays,
    outbound,
  };
  const services = createServices(given);
  opened.add(() => services.stop(), LEFT_OVER_MS);
  await services.endpoints.checkSecrets();
  return { database, services, databaseUrl: serviceUrl };
}

/**
 * Starts the background jobs. Call it last: building the app keeps the processor busy for seconds on a small machine, and
 * a connection that is being opened meanwhile runs into its timeout.
 */
export function openBackground({ log, opened }: Opening, services: Services, work: BackgroundWork): void {
  const onError = (error: unknown, job: string) =>
    log.logger.warn({ err: error, job }, 'a background job failed');
  opened.add(startBackground(services, onError, work), LEFT_OVER_MS);
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
