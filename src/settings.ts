/*
 * Every setting: its name, default, bounds and meaning, once. `config.ts` reads the environment by this table, and
 * `npm run generate:settings` writes .env.example and the table of the README from it. (envalid and env-schema check
 * values, too, but neither reports every fault in one sentence each, and neither writes the two documents.)
 */
interface Described {
  /** One line of Markdown. */
  means: string;
  /** Shown where there is no default. */
  example?: string;
}

interface TextSetting extends Described {
  is: 'text';
  fallback: string;
  inProduction?: string;
}

interface IntegerSetting extends Described {
  is: 'integer';
  fallback: number;
  min: number;
  max: number;
}

interface WordSetting extends Described {
  is: 'word';
  words: readonly string[];
  fallback: string;
}

interface CurrencySetting extends Described {
  is: 'currency';
  fallback: string;
}

interface FlagSetting extends Described {
  is: 'flag';
  /** Undefined: it depends on where the service runs. */
  fallback?: boolean;
}

interface ListSetting extends Described {
  is: 'networks' | 'host names' | 'database URL';
}

export type Setting =
  | TextSetting
  | IntegerSetting
  | WordSetting
  | CurrencySetting
  | FlagSetting
  | ListSetting;

/** The secret of the examples: fit for trying out, refused in production. */
export const DEVELOPMENT_WEBHOOK_SECRET = 'webhook-secret-key';

/** The key of a service that is tried out: it protects nothing, and is refused in production. */
export const DEVELOPMENT_SECRETS_KEY = Buffer.from('development-secrets-key-32-bytes').toString('base64');

export const SETTINGS = {
  HOST: {
    is: 'text',
    fallback: '127.0.0.1',
    inProduction: '0.0.0.0',
    means: 'The address to listen on; outside production, loopback only',
  },
  PORT: { is: 'integer', fallback: 8000, min: 0, max: 65_535, means: 'The port; 0 takes any free one' },
  NODE_ENV: {
    is: 'word',
    words: ['development', 'production', 'test'],
    fallback: 'development',
    means: '`production` requires `DATABASE_URL`, a `WEBHOOK_SECRET` of your own and `ALLOW_OPEN`',
  },
  ALLOW_OPEN: {
    is: 'flag',
    fallback: false,
    means:
      '`true`: production serves without API keys, which do not exist yet. Set it when only your own systems can reach the service',
  },
  DATABASE_URL: {
    is: 'database URL',
    example: 'postgres://user:password@localhost:5432/orders_inventory',
    means: 'PostgreSQL ≥ 14; unset: the embedded one below `DATA_DIR`',
  },
  DATA_DIR: {
    is: 'text',
    fallback: '.data',
    means: 'The data of the embedded PostgreSQL. `npm run db-shell` opens psql on it',
  },
  DATABASE_POOL_SIZE: {
    is: 'integer',
    fallback: 10,
    // A transaction needs one connection; PostgreSQL's own default allows 100 for all instances together.
    min: 1,
    max: 1000,
    means:
      'Connections of one instance for changes and, 4 in 10, for lists; besides them it opens up to 8: reads by id 2, payments 2, orders, readiness, audits and hints between instances 1 each',
  },
  DATABASE_PGBOUNCER: { is: 'flag', fallback: false, means: '`true` behind PgBouncer in transaction mode' },
  WEBHOOK_SECRET: {
    is: 'text',
    fallback: DEVELOPMENT_WEBHOOK_SECRET,
    inProduction: '',
    means:
      'The secret of payment webhooks; in production at least 24 bytes. After `whsec_` base64 must follow, and its bytes are the key',
  },
  WEBHOOK_SECRET_PREVIOUS: {
    is: 'text',
    fallback: '',
    means: 'The secret before, while a provider still signs with it',
  },
  STRIPE_WEBHOOK_SECRET: {
    is: 'text',
    fallback: '',
    means: 'The signing secret of the endpoint at [Stripe](docs/payments.md#stripe), `whsec_…`; unset: off',
  },
  STRIPE_LIVEMODE: {
    is: 'flag',
    example: 'true',
    means:
      '`true`: only live events of Stripe count, `false`: only test ones; unset: live in production alone',
  },
  SECRETS_KEY: {
    is: 'text',
    fallback: DEVELOPMENT_SECRETS_KEY,
    inProduction: '',
    means:
      'Encrypts the secrets of [webhook endpoints](docs/events.md#webhooks): 32 random bytes in base64 or hex (`openssl rand -base64 32`). Keep it apart from backups; in production there are no endpoints without it',
  },
  SECRETS_KEY_PREVIOUS: {
    is: 'text',
    fallback: '',
    means: 'The key before: a start encrypts anew what it encrypted',
  },
  ALLOW_INSECURE_ENDPOINTS: {
    is: 'flag',
    fallback: false,
    means:
      '`true`: webhook endpoints may also have http, any port, and addresses of loopback and private networks; refused in production',
  },
  RELAY: {
    is: 'word',
    words: ['on', 'off'],
    fallback: 'on',
    means: '`off`: this instance sends no webhooks; `npm run worker` does',
  },
  DELIVERY_RETENTION_DAYS: {
    is: 'integer',
    fallback: 30,
    min: 0,
    // Ten years.
    max: 3650,
    means: 'How long webhook deliveries are kept after they arrived; 0: for ever. Dead letters stay',
  },
  EVENT_RETENTION_DAYS: {
    is: 'integer',
    fallback: 0,
    min: 0,
    max: 3650,
    means: 'How long events stay in the log, a week at least; 0: for ever. Unsent ones stay longer',
  },
  ORDER_TTL_MINUTES: {
    is: 'integer',
    fallback: 0,
    min: 0,
    // A year is longer than any payment takes.
    max: 525_600,
    means: 'How long an order may stay [unpaid](docs/inventory.md#unpaid-orders); 0: for ever',
  },
  CURRENCY: {
    is: 'currency',
    fallback: 'USD',
    means:
      'The currency of the shop (ISO 4217): payments in another one are [reviews](docs/payments.md#payment-exceptions)',
  },
  PAYMENT_FAILED: {
    is: 'word',
    words: ['cancel', 'keep'],
    fallback: 'cancel',
    means:
      'What a failed payment does to an unpaid order. With `keep` it waits for the next try; set `ORDER_TTL_MINUTES`, too, so that it does not wait for ever',
  },
  LOW_STOCK_THRESHOLD: {
    is: 'integer',
    fallback: 0,
    min: 0,
    // The most of one product that there can be.
    max: 999_999_999,
    means:
      'The `low_stock_threshold` of products that are created without one, for [`stock.low`](docs/events.md#types); 0: none',
  },
  LOG_LEVEL: {
    is: 'word',
    words: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    fallback: 'info',
    means: '`info` logs one line a request, with its path and never its query',
  },
  LOG_PRETTY: {
    is: 'flag',
    example: 'true',
    means: '`true`: short coloured lines, `false`: JSON lines; unset: JSON unless stdout is a terminal',
  },
  TRUST_PROXY: {
    is: 'networks',
    example: 'loopback,uniquelocal',
    means:
      'Networks of proxies whose `X-Forwarded-*` the service believes: `loopback,uniquelocal,10.0.0.0/8`',
  },
  ALLOWED_HOSTS: {
    is: 'host names',
    example: 'shop.test',
    means: 'Names, besides loopback, that `Host` may have; in production, unset means any',
  },
  DRAIN_SECONDS: {
    is: 'integer',
    fallback: 0,
    min: 0,
    max: 5,
    means: 'After SIGTERM, keep serving this long while `/readyz` answers 503',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

/** The names of the settings of one kind. */
export type SettingOf<Kind extends Setting['is']> = {
  [Name in SettingName]: (typeof SETTINGS)[Name]['is'] extends Kind ? Name : never;
}[SettingName];

export type WordOf<Name extends SettingOf<'word'>> = (typeof SETTINGS)[Name]['words'][number];

/** The default as text; undefined where there is none. */
export function defaultOf(setting: Setting): string | undefined {
  return 'fallback' in setting && setting.fallback !== '' ? String(setting.fallback) : undefined;
}
