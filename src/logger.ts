import { createRequire } from 'node:module';

import { type Logger, pino } from 'pino';

import type { Config } from './config.ts';

/**
 * JSON lines on stdout, for collectors; for people at a terminal, pino-pretty when it is installed. Headers and bodies
 * are never logged, and what could slip in with an error is blanked.
 */
export function createLogger({ logLevel, logPretty }: Pick<Config, 'logLevel' | 'logPretty'>): Logger {
  const pretty = logPretty ?? process.stdout.isTTY;
  return pino({
    level: logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ['*.authorization', '*.password', '*.connectionString', 'req', 'res'],
    ...(pretty && isInstalled('pino-pretty') ? { transport: { target: 'pino-pretty' } } : {}),
  });
}

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}
