import {
  readArguments,
  readEnvironment,
  requireLoopback,
  type ScriptEnvironment,
  UsageError,
} from '../support/arguments.ts';

export interface DrillOptions {
  control: boolean;
  json: boolean;
  /** Undefined: as many rounds as the drill has by default, or as the seconds allow. */
  rounds: number | undefined;
  seconds: number | undefined;
  clients: number | undefined;
  /** A service that somebody else started; undefined: the drill starts its own. */
  target: ScriptEnvironment | undefined;
  /** An administrator's URL of a PostgreSQL to make a scratch database on; undefined: an embedded one. */
  databaseUrl: string | undefined;
}

const ROUNDS_MAX = 100_000;
const SECONDS_MAX = 24 * 3600;
/** More than this on one machine only makes the clients wait for each other. */
const CLIENTS_MAX = 500;

/** @throws UsageError */
export function readDrillOptions(args: string[], env: NodeJS.ProcessEnv = process.env): DrillOptions {
  const values = readArguments(args, {
    control: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    clients: { type: 'string' },
  });
  const target = env['BASE_URL'] ? readEnvironment(env) : undefined;
  if (target !== undefined) requireLoopback(target.baseUrl, 'BASE_URL');
  if (target !== undefined && values.control) {
    throw new UsageError('--control runs against handlers that are broken on purpose: leave BASE_URL unset.');
  }
  return {
    control: values.control,
    json: values.json,
    rounds: wholeNumber('--rounds', values.rounds, ROUNDS_MAX),
    seconds: wholeNumber('--seconds', values.seconds, SECONDS_MAX),
    clients: wholeNumber('--clients', values.clients, CLIENTS_MAX),
    target,
    databaseUrl: env['DATABASE_URL'] || undefined,
  };
}

function wholeNumber(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new UsageError(`${name} takes a whole number from 1 to ${max}, not "${text}".`);
}
