import { createRequire } from 'node:module';
import { isatty } from 'node:tty';

import { type Logger, levels, pino, stdSerializers } from 'pino';

import type { Config } from './config.ts';
import { jsonLine, type RequestEntry, terminalLine } from './http/request-line.ts';
import { LogDestination, openStdout } from './lib/log-destination.ts';

/** Everything that this process says about its work. */
export interface Log {
  readonly logger: Logger;
  /** Writes the one line of a request. */
  readonly logRequest: (entry: RequestEntry) => void;
  /** Writes text for a person at the terminal; false when there is none, and stdout is for JSON lines alone. */
  readonly tell: (text: string) => boolean;
  /** Lets what was logged leave the process, as far as stdout takes it. */
  readonly drain: () => Promise<void>;
}

/**
 * JSON lines on stdout, for collectors; short lines for people at a terminal. Headers and bodies are never logged.
 * @param onLost gets the number of lines that stdout could not take
 */
export function createLog(
  { logLevel, logPretty }: Pick<Config, 'logLevel' | 'logPretty'>,
  onLost: (lines: number) => void,
): Log {
  const forPeople = logPretty ?? isatty(1);
  const coloured = forPeople && isatty(1) && process.stdout.hasColors();
  const pretty = forPeople ? prettyPrinter(coloured) : undefined;
  const describeLoss = (lines: number) => {
    const line = `{"level":${WARN},"time":${Date.now()},"lines":${lines},"msg":"log lines were lost"}\n`;
    return pretty?.(line) ?? line;
  };
  const destination = new LogDestination({ sink: openStdout(), describeLoss, onLost });
  process.on('exit', () => destination.flush());
  const write = pretty === undefined ? undefined : (line: string) => destination.write(pretty(line));
  const options = { level: logLevel, base: null, serializers: { err: describeError } };
  const logger = pino(options, write === undefined ? destination : { write });
  const toLine = forPeople ? (entry: RequestEntry) => terminalLine(entry, coloured) : jsonLine;
  return {
    logger,
    logRequest: logger.isLevelEnabled('info') ? (entry) => destination.write(toLine(entry)) : () => undefined,
    tell(text) {
      if (forPeople) destination.write(text);
      return forPeople;
    },
    drain: () => destination.drain(),
  };
}

const WARN = levels.values['warn'];

/** What PostgreSQL adds to its errors may quote a whole row, with a customer's e-mail address in it. */
const ROW_FIELDS = ['detail', 'where', 'internalQuery'];

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const described: Record<string, unknown> = { ...stdSerializers.err(error) };
  for (const field of ROW_FIELDS) delete described[field];
  return described;
}

/** What we use of a package whose types a build without it could not read. */
interface PinoPretty {
  prettyFactory(options: { colorize: boolean; translateTime: string }): (line: string) => string;
}

/** pino-pretty, which only a checkout for development has: `npm ci --omit=dev` leaves JSON lines on a terminal. */
function prettyPrinter(colorize: boolean): ((line: string) => string) | undefined {
  try {
    const load = createRequire(import.meta.url);
    const pretty = load('pino-pretty') as PinoPretty;
    return pretty.prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss' });
  } catch {
    return undefined;
  }
}
