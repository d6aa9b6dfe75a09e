import { StartupError } from './lib/startup-error.ts';

/** What the service runs with. Checked once, frozen, and passed by argument: nothing else reads the environment. */
export interface Config {
  environment: 'development' | 'production' | 'test';
  host: string;
  port: number;
  /** Undefined: start the embedded PostgreSQL below `dataDir`. */
  databaseUrl: string | undefined;
  dataDir: string;
  databasePoolSize: number;
  databasePgbouncer: boolean;
  /** Every secret that signatures may be made with: the current one first. */
  webhookSecrets: readonly string[];
  /** How long an order may stay unpaid; 0 for ever. */
  orderTtlMinutes: number;
  logLevel: LogLevel;
  logPretty: boolean | undefined;
  trustProxy: boolean;
  drainSeconds: number;
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The secret of the examples: fit for trying out, refused in production. */
export const DEVELOPMENT_WEBHOOK_SECRET = 'webhook-secret-key';

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment, with what a `.env` file in the working folder adds to it; the environment wins. */
export function readEnvironment(): Environment {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new StartupError(`The file .env cannot be read: ${(error as Error).message}.`);
    }
  }
  return process.env;
}

/**
 * Reads and checks every setting.
 * @throws StartupError that names every fault at once
 */
export function loadConfig(env: Environment): Config {
  const read = new SettingsReader(env);
  const environment = read.oneOf('NODE_ENV', ['development', 'production', 'test'], 'development');
  const production = environment === 'production';
  const config: Config = {
    environment,
    host: read.text('HOST', production ? '0.0.0.0' : '127.0.0.1'),
    port: read.integer('PORT', 8000, 0, 65_535),
    databaseUrl: read.databaseUrl('DATABASE_URL'),
    dataDir: read.text('DATA_DIR', '.data'),
    // A transaction needs one connection; PostgreSQL's own default allows 100 for all instances together.
    databasePoolSize: read.integer('DATABASE_POOL_SIZE', 10, 1, 1000),
    databasePgbouncer: read.flag('DATABASE_PGBOUNCER') ?? false,
    webhookSecrets: webhookSecrets(read, production),
    // A year is longer than any payment takes.
    orderTtlMinutes: read.integer('ORDER_TTL_MINUTES', 0, 0, 525_600),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    logPretty: read.flag('LOG_PRETTY'),
    trustProxy: read.flag('TRUST_PROXY') ?? false,
    drainSeconds: read.integer('DRAIN_SECONDS', 0, 0, 5),
  };
  if (production && config.databaseUrl === undefined) {
    read.faults.push('DATABASE_URL must be set in production');
  }
  if (read.faults.length > 0) {
    throw new StartupError(`Wrong settings: ${read.faults.join('; ')}. See .env.example.`);
  }
  return Object.freeze(config);
}

function webhookSecrets(read: SettingsReader, production: boolean): readonly string[] {
  const current = read.text('WEBHOOK_SECRET', production ? '' : DEVELOPMENT_WEBHOOK_SECRET);
  const previous = read.text('WEBHOOK_SECRET_PREVIOUS', '');
  if (production && (current === '' || current === DEVELOPMENT_WEBHOOK_SECRET)) {
    read.faults.push('WEBHOOK_SECRET must be set in production, to a value of your own');
  }
  if (production && previous === DEVELOPMENT_WEBHOOK_SECRET) {
    read.faults.push('WEBHOOK_SECRET_PREVIOUS must not be the default of the examples in production');
  }
  for (const [name, value] of Object.entries({
    WEBHOOK_SECRET: current,
    WEBHOOK_SECRET_PREVIOUS: previous,
  })) {
    if (value.startsWith('whsec_') && !/^[A-Za-z0-9+/]+={0,2}$/.test(value.slice('whsec_'.length))) {
      read.faults.push(`${name} starts with whsec_, so base64 must follow`);
    }
  }
  return Object.freeze([current, previous].filter((secret) => secret !== ''));
}

/** Reads settings one by one and collects what is wrong with them. An empty setting counts as not set. */
class SettingsReader {
  readonly faults: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  text(name: string, fallback: string): string {
    return this.#env[name] || fallback;
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const text = this.#env[name];
    if (!text) return fallback;
    const found = allowed.find((value) => value === text);
    if (found === undefined) this.faults.push(`${name} must be one of ${allowed.join(', ')}, not "${text}"`);
    return found ?? fallback;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.#env[name];
    if (!text) return fallback;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.faults.push(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
    return fallback;
  }

  flag(name: string): boolean | undefined {
    const text = this.#env[name];
    if (!text) return undefined;
    if (text === 'true' || text === '1') return true;
    if (text === 'false' || text === '0') return false;
    this.faults.push(`${name} must be true or false, not "${text}"`);
    return undefined;
  }

  databaseUrl(name: string): string | undefined {
    const text = this.#env[name];
    if (!text) return undefined;
    // The URL may hold a password, so a wrong one is not repeated.
    if (!URL.canParse(text) || !/^postgres(ql)?:$/.test(new URL(text).protocol)) {
      this.faults.push(`${name} must look like postgres://user:password@host:5432/database`);
    }
    return text;
  }
}
