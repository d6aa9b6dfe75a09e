import { createRequire } from 'node:module';

import { type Logger, pino } from 'pino';

import type { Config } from './config.ts';

/** Lines are written together, a few kilobytes at a time: a write for each of them would cost more than its request. */
const BUFFER_BYTES = 8192;
/** So that a line is not kept waiting when nothing follows it. */
const FLUSH_MS = 100;

/**
 * JSON lines on stdout, for collectors; for people at a terminal, pino-pretty when it is installed. Headers and bodies
 * are never logged.
 */
export function createLogger({ logLevel, logPretty }: Pick<Config, 'logLevel' | 'logPretty'>): Logger {
  const options = { level: logLevel, base: null };
  if ((logPretty ?? process.stdout.isTTY) && isInstalled('pino-pretty')) {
    return pino({ ...options, transport: { target: 'pino-pretty' } });
  }
  // Synchronous when it writes, so that nothing is lost when the process ends.
  const destination = pino.destination({ dest: 1, minLength: BUFFER_BYTES, sync: true });
  setInterval(() => destination.flush(), FLUSH_MS).unref();
  process.on('exit', () => destination.flushSync());
  return pino(options, destination);
}

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}
