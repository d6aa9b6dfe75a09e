import { readCommand, readWholeNumber, UsageError } from '../support/arguments.ts';
import { readEnvironment, requireLoopback, type ScriptEnvironment } from '../support/environment.ts';

export interface DrillOptions {
  control: boolean;
  json: boolean;
  /** Undefined: as many rounds as the drill has by default, or as the seconds allow. */
  rounds: number | undefined;
  seconds: number | undefined;
  clients: number | undefined;
  /** The address of a running service; undefined: the drill starts its own. */
  target: ScriptEnvironment | undefined;
  /** An administrator's URL of a PostgreSQL to make a scratch database on; undefined: an embedded one. */
  databaseUrl: string | undefined;
}

const ROUNDS_MAX = 100_000;
const SECONDS_MAX = 24 * 3600;
/** More than this on one machine only makes the clients wait for each other. */
const CLIENTS_MAX = 500;

/**
 * @param names of which the first argument must be one
 * @throws UsageError
 */
export function readDrillOptions<Name extends string>(
  args: string[],
  names: readonly Name[],
): { name: Name; options: DrillOptions } {
  const { name, values } = readCommand(args, names, {
    control: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    clients: { type: 'string' },
  });
  const { env } = process;
  // Only when it is named: an attack is not for the service that happens to run at the default address.
  const target = env['BASE_URL'] ? readEnvironment(env) : undefined;
  if (target !== undefined) requireLoopback(target.baseUrl, 'BASE_URL');
  if (target !== undefined && values.control) {
    throw new UsageError('--control runs against handlers that are broken on purpose: leave BASE_URL unset.');
  }
  const options = {
    control: values.control,
    json: values.json,
    rounds: readWholeNumber('--rounds', values.rounds, ROUNDS_MAX),
    seconds: readWholeNumber('--seconds', values.seconds, SECONDS_MAX),
    clients: readWholeNumber('--clients', values.clients, CLIENTS_MAX),
    target,
    databaseUrl: env['DATABASE_URL'] || undefined,
  };
  return { name, options };
}
