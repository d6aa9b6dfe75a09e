import { type ParseArgsConfig, parseArgs } from 'node:util';

import { ServiceFailure } from './service-client.ts';

/** What a person got wrong on the command line or in the environment: told in one sentence, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Options = NonNullable<ParseArgsConfig['options']>;

/** @throws UsageError for an argument that is unknown, or has no value where it needs one */
export function readArguments<const T extends Options>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    // Node explains at length how to write positional arguments, which no script here takes.
    const [sentence = 'The arguments are wrong'] = (error as Error).message.split('. ');
    throw new UsageError(`${sentence}; --help shows what there is.`);
  }
}

export interface ScriptEnvironment {
  /** Without a slash at its end. */
  baseUrl: string;
  webhookSecret: string;
  apiKey: string | undefined;
}

/** The secret that the service itself takes outside production when none is set. */
const DEVELOPMENT_WEBHOOK_SECRET = 'webhook-secret-key';

/** An empty variable counts as not set, as in the service. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): ScriptEnvironment {
  const baseUrl = env['BASE_URL'] || 'http://127.0.0.1:8000';
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new UsageError(`BASE_URL must look like https://shop.example.com, not "${baseUrl}".`);
  }
  return {
    // As URLs are written, so that links in answers can be held against it.
    baseUrl: new URL(baseUrl).href.replace(/\/+$/, ''),
    webhookSecret: env['WEBHOOK_SECRET'] || DEVELOPMENT_WEBHOOK_SECRET,
    apiKey: env['API_KEY'] || undefined,
  };
}

/**
 * Load is for one's own machine only.
 * @throws UsageError
 */
export function requireLoopback(url: string, name: string): void {
  if (!URL.canParse(url)) throw new UsageError(`${name} is not a URL.`);
  const { hostname } = new URL(url);
  if (!/^(127(\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname)) {
    throw new UsageError(
      `${name} must name a loopback address such as 127.0.0.1, not ${hostname || 'nothing'}.`,
    );
  }
}

/**
 * Runs a script to its exit code: what `main` returns, 2 for wrong usage, 1 when the service is not there or answers
 * something else than it should. `--help` is answered here, whatever else is said.
 */
export async function runScript(usage: string, main: (args: string[]) => Promise<number>): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage);
    return;
  }
  try {
    process.exitCode = await main(args);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ServiceFailure)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
