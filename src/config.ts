import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

import { isLoopback } from './lib/networks.ts';
import { readKey } from './lib/secret-box.ts';
import { isBrokenStandardSecret, standardWebhooksKey } from './lib/signing-key.ts';
import { StartupError } from './lib/startup-error.ts';
import { DEVELOPMENT_SECRETS_KEY, DEVELOPMENT_WEBHOOK_SECRET, type WordOf } from './settings.ts';
import { type Environment, SettingsReader } from './settings-reader.ts';

/** What the service runs with. Checked once, frozen, and passed by argument: nothing else reads the environment. */
export interface Config {
  environment: WordOf<'NODE_ENV'>;
  host: string;
  port: number;
  /** Undefined: start the embedded PostgreSQL below `dataDir`. */
  databaseUrl: string | undefined;
  dataDir: string;
  /** Production has been told to serve without API keys, which there are none of yet. */
  allowOpen: boolean;
  databasePoolSize: number;
  databasePgbouncer: boolean;
  /** Every secret that signatures may be made with: the current one first. */
  webhookSecrets: readonly string[];
  /** No secret: the service takes nothing from Stripe. */
  stripe: { secrets: readonly string[]; livemode: boolean };
  /** What encrypts the secrets of webhook endpoints, the current key first; empty: there can be no endpoints. */
  secretsKeys: readonly Buffer[];
  /** This process sends webhooks. */
  relay: WordOf<'RELAY'>;
  deliveryRetentionDays: number;
  eventRetentionDays: number;
  /** Webhook endpoints may have addresses of private networks. */
  allowInsecureEndpoints: boolean;
  shop: ShopTerms;
  /** The stock at which `stock.low` is written, for products that are created without a threshold; 0 for none. */
  lowStockThreshold: number;
  logLevel: LogLevel;
  logPretty: boolean | undefined;
  /** The networks of proxies whose X-Forwarded headers are believed; empty: no proxy's. */
  trustProxy: readonly string[];
  /** Names, besides loopback, under which callers may address the service. */
  allowedHosts: readonly string[];
  drainSeconds: number;
}

/** What of the settings decides about orders and their money. */
export interface ShopTerms {
  /** How long an order may stay unpaid; 0 for ever. */
  orderTtlMinutes: number;
  /** ISO 4217 */
  currency: string;
  /** What a failed payment does to an unpaid order. */
  paymentFailed: WordOf<'PAYMENT_FAILED'>;
}

export type LogLevel = WordOf<'LOG_LEVEL'>;

/** Ours, and those of the Standard Webhooks specification and of its libraries' documentation. */
const KNOWN_WEBHOOK_SECRETS: ReadonlySet<string> = new Set([
  DEVELOPMENT_WEBHOOK_SECRET,
  'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
]);
/** What the Standard Webhooks specification asks for: between 24 and 64 bytes. */
const WEBHOOK_SECRET_BYTES = 24;

/** The environment, with what a `.env` file in the working folder adds to it; the environment wins. */
export function readEnvironment(): Environment {
  // pg would take them for what DATABASE_URL leaves out, so that it would not say all there is to say. A password may
  // well come so.
  for (const name of Object.keys(process.env)) {
    if (/^PG(?!PASS)/.test(name)) delete process.env[name];
  }
  let bytes: Buffer;
  try {
    bytes = readFileSync('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { ...process.env };
    throw new StartupError(`The file .env cannot be read: ${(error as Error).message}.`);
  }
  // Scripts read it from there, and what they start inherits it.
  for (const [name, value] of Object.entries(parseEnvFile(bytes))) process.env[name] ??= value;
  return process.env;
}

/**
 * The settings in a `.env` file. Editors of Windows begin it with a byte order mark, which `parseEnv` takes for a part
 * of the first name, so that the first setting would be lost without a word; others save it as UTF-16.
 * @throws StartupError
 */
export function parseEnvFile(bytes: Buffer): Environment {
  if (!isUtf8(bytes) || bytes.includes(0)) {
    throw new StartupError('The file .env is not UTF-8 text. Save it with the encoding UTF-8.');
  }
  return parseEnv(bytes.toString('utf8').replace(/^\uFEFF/, ''));
}

/**
 * Reads and checks every setting.
 * @throws StartupError that names every fault at once
 */
export function loadConfig(env: Environment): Config {
  const read = new SettingsReader(env);
  const environment = read.word('NODE_ENV');
  const production = environment === 'production';
  const config: Config = {
    environment,
    host: read.text('HOST', production),
    port: read.integer('PORT'),
    ...databaseConfig(read),
    dataDir: read.text('DATA_DIR', production),
    databasePoolSize: read.integer('DATABASE_POOL_SIZE'),
    webhookSecrets: webhookSecrets(read, production),
    stripe: stripeConfig(read, production),
    secretsKeys: secretsKeys(read, production),
    relay: read.word('RELAY'),
    deliveryRetentionDays: read.integer('DELIVERY_RETENTION_DAYS'),
    eventRetentionDays: read.integer('EVENT_RETENTION_DAYS'),
    allowInsecureEndpoints: read.flag('ALLOW_INSECURE_ENDPOINTS') ?? false,
    allowOpen: read.flag('ALLOW_OPEN') ?? false,
    shop: {
      orderTtlMinutes: read.integer('ORDER_TTL_MINUTES'),
      currency: read.currency('CURRENCY'),
      paymentFailed: read.word('PAYMENT_FAILED'),
    },
    lowStockThreshold: read.integer('LOW_STOCK_THRESHOLD'),
    logLevel: read.word('LOG_LEVEL'),
    logPretty: read.flag('LOG_PRETTY'),
    trustProxy: read.networks('TRUST_PROXY'),
    allowedHosts: read.hostNames('ALLOWED_HOSTS'),
    drainSeconds: read.integer('DRAIN_SECONDS'),
  };
  if (!production && !isLoopback(config.host)) {
    read.faults.push(
      `HOST must be 127.0.0.1, ::1 or localhost outside production, where everybody may use the service, not "${config.host}"`,
    );
  }
  if (production && config.databaseUrl === undefined) {
    read.faults.push('DATABASE_URL must be set in production');
  }
  if (production && config.allowInsecureEndpoints) {
    read.faults.push(
      'ALLOW_INSECURE_ENDPOINTS must not be true in production: a webhook endpoint could then lead into your network',
    );
  }
  if (production && !config.allowOpen) {
    read.faults.push(
      'ALLOW_OPEN must be true in production: there are no API keys yet, so every caller that reaches the service can ' +
        'read and change everything. Set it once only your own systems can reach it',
    );
  }
  read.throwFaults();
  return Object.freeze(config);
}

/**
 * Where the database is, for a migration alone: it has no use for the secrets and the port of the service.
 * @throws StartupError
 */
export function loadDatabaseConfig(env: Environment): Pick<Config, 'databaseUrl' | 'databasePgbouncer'> {
  const read = new SettingsReader(env);
  const config = databaseConfig(read);
  read.throwFaults();
  return config;
}

function databaseConfig(read: SettingsReader) {
  return {
    databaseUrl: read.databaseUrl('DATABASE_URL'),
    databasePgbouncer: read.flag('DATABASE_PGBOUNCER') ?? false,
  };
}

function webhookSecrets(read: SettingsReader, production: boolean): readonly string[] {
  const current = read.text('WEBHOOK_SECRET', production);
  const previous = read.text('WEBHOOK_SECRET_PREVIOUS', production);
  if (current === '') {
    read.faults.push('WEBHOOK_SECRET must be set in production, to a value of your own');
  }
  checkWebhookSecret(read, 'WEBHOOK_SECRET', current, production);
  checkWebhookSecret(read, 'WEBHOOK_SECRET_PREVIOUS', previous, production);
  return Object.freeze([current, previous].filter((secret) => secret !== ''));
}

/** Stripe signs with the old and the new secret while one is being rolled, so that one is enough here. */
function stripeConfig(read: SettingsReader, production: boolean): Config['stripe'] {
  const secret = read.text('STRIPE_WEBHOOK_SECRET', production);
  const livemode = read.flag('STRIPE_LIVEMODE') ?? production;
  if (secret !== '' && !/^whsec_\S+$/.test(secret)) {
    read.faults.push(
      'STRIPE_WEBHOOK_SECRET must be the signing secret of the endpoint, which starts with whsec_',
    );
  } else if (secret !== '' && production && Buffer.byteLength(secret) < WEBHOOK_SECRET_BYTES) {
    read.faults.push(`STRIPE_WEBHOOK_SECRET must have ${WEBHOOK_SECRET_BYTES} bytes at least in production`);
  }
  return Object.freeze({ secrets: Object.freeze(secret === '' ? [] : [secret]), livemode });
}

function secretsKeys(read: SettingsReader, production: boolean): readonly Buffer[] {
  const names = ['SECRETS_KEY', 'SECRETS_KEY_PREVIOUS'] as const;
  const keys = names.map((name) => {
    const text = read.text(name, production);
    if (text === '') return undefined;
    const key = readKey(text);
    if (key === undefined) {
      read.faults.push(
        `${name} must be 32 random bytes in base64 or hex, such as \`openssl rand -base64 32\` makes`,
      );
    } else if (production && text === DEVELOPMENT_SECRETS_KEY) {
      read.faults.push(`${name} must not be the key of the examples in production`);
    }
    return key;
  });
  if (keys[0] === undefined && keys[1] !== undefined) {
    read.faults.push('SECRETS_KEY must be set where SECRETS_KEY_PREVIOUS is');
  }
  return Object.freeze(keys.filter((key) => key !== undefined));
}

/** With a guessed secret an attacker marks orders as paid. The messages never repeat the secret. */
function checkWebhookSecret(read: SettingsReader, name: string, secret: string, production: boolean): void {
  if (secret === '') return;
  if (isBrokenStandardSecret(secret)) {
    read.faults.push(`${name} starts with whsec_, so base64 with its padding must follow`);
  } else if (production && KNOWN_WEBHOOK_SECRETS.has(secret)) {
    read.faults.push(`${name} must not be one of the published examples in production`);
  } else if (production && standardWebhooksKey(secret).length < WEBHOOK_SECRET_BYTES) {
    read.faults.push(`${name} must have ${WEBHOOK_SECRET_BYTES} bytes at least in production`);
  }
}
