import { openBackground, type Opening, openServices, startProcess } from './start.ts';
import { StartupError } from './lib/startup-error.ts';

/** Sends webhooks, beside services that run with RELAY=off. Any number of workers may run. */
startProcess(async (opening: Opening) => {
  const { config, log } = opening;
  if (config.databaseUrl === undefined) {
    throw new StartupError(
      "A worker needs the DATABASE_URL of the service: the embedded database is the service's own.",
    );
  }
  if (config.secretsKeys.length === 0) {
    throw new StartupError('A worker needs the SECRETS_KEY of the service, to sign what it sends.');
  }
  const { services } = await openServices(opening);
  openBackground(opening, services, 'relay');
  log.logger.info('sending webhooks');
});
