import { type ParseArgsConfig, parseArgs } from 'node:util';

import { readEnvironment as addEnvFile } from '../../src/config.ts';
import { StartupError } from '../../src/lib/startup-error.ts';

/** An error that ends a script with its message alone, without a stack: one sentence that a person can act on. */
export class ScriptFailure extends Error {
  override readonly name: string = 'ScriptFailure';
  readonly exitCode: number = 1;
}

/** A mistake on the command line or in the environment. */
export class UsageError extends ScriptFailure {
  override readonly name = 'UsageError';
  override readonly exitCode = 2;
}

type Options = NonNullable<ParseArgsConfig['options']>;

/** @throws UsageError for an argument that is unknown, or has no value where it needs one */
export function readArguments<const T extends Options>(args: string[], options: T) {
  const { values, positionals } = parse(args, options);
  const [surplus] = positionals;
  if (surplus !== undefined) throw new UsageError(`Unexpected argument '${surplus}'; ${HINT}`);
  return values;
}

/**
 * For a script whose first argument says which of several things to do.
 * @throws UsageError as readArguments does, and when the name is missing or unknown
 */
export function readCommand<const T extends Options, Name extends string>(
  args: string[],
  names: readonly Name[],
  options: T,
) {
  const { values, positionals } = parse(args, options);
  const [first, surplus] = positionals;
  if (surplus !== undefined) throw new UsageError(`Unexpected argument '${surplus}'; ${HINT}`);
  const name = names.find((known) => known === first);
  if (name === undefined) {
    const given = first === undefined ? '' : `, not '${first}'`;
    throw new UsageError(
      `The first argument must be ${names.slice(0, -1).join(', ')} or ${names.at(-1)}${given}.`,
    );
  }
  return { name, values };
}

const HINT = '--help shows what there is.';

function parse<const T extends Options>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: true });
  } catch (error) {
    // Node explains at length how to write positional arguments that begin with a dash, which no script here takes.
    const [sentence = 'The arguments are wrong'] = (error as Error).message.split(/\.\s/);
    throw new UsageError(`${sentence}; ${HINT}`);
  }
}

/** @throws UsageError unless it is a number above 0 and at most `max` */
export function readNumber(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  if (value > 0 && value <= max) return value;
  throw new UsageError(`${name} takes a number above 0 and at most ${max}, not "${text}".`);
}

/** @throws UsageError unless it is a whole number from 1 to `max` */
export function readWholeNumber(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new UsageError(`${name} takes a whole number from 1 to ${max}, not "${text}".`);
}

/**
 * Runs a script to its exit code: the one that `main` returns, 2 for wrong usage, 1 when something that the script needs
 * is not there or not as it should be. `--help` prints the usage, whatever else is said. A `.env` file adds to the
 * environment, as it does for the service.
 */
export async function runScript(usage: string, main: (args: string[]) => Promise<number>): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage);
    return;
  }
  try {
    addEnvFile();
    process.exitCode = await main(args);
  } catch (error) {
    if (!(error instanceof ScriptFailure || error instanceof StartupError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error instanceof ScriptFailure ? error.exitCode : 1;
  }
}
