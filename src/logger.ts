import { createRequire } from 'node:module';

import { type Logger, pino } from 'pino';

import type { Config } from './config.ts';

/** Lines are written together: a write for each of them would cost more than its request. */
const BUFFER_CHARS = 8192;
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
  return pino(options, bufferedStdout());
}

/** Collects lines as one text; pino's own buffer would measure and copy every line. Nothing is lost when we exit. */
function bufferedStdout(): { write: (line: string) => void } {
  const stdout = pino.destination({ dest: 1, sync: true });
  let lines = '';
  const flush = () => {
    if (lines !== '') stdout.write(lines);
    lines = '';
  };
  setInterval(flush, FLUSH_MS).unref();
  process.on('exit', flush);
  return {
    write(line) {
      lines += line;
      if (lines.length >= BUFFER_CHARS) flush();
    },
  };
}

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}
