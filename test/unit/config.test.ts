import { describe, expect, test } from 'vitest';

import { loadConfig, loadDatabaseConfig, parseEnvFile } from '../../src/config.ts';
import { DEVELOPMENT_WEBHOOK_SECRET } from '../../src/settings.ts';
import { StartupError } from '../../src/lib/startup-error.ts';

const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://shop:hunter2@db.example:5432/shop',
  WEBHOOK_SECRET: 'a-secret-of-our-own-24-b',
  ALLOW_OPEN: 'true',
};

function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof StartupError) return error.message;
    throw error;
  }
  return 'no refusal';
}

test('without any setting: port 8000 on loopback, embedded database, pool of 10, the secret of the examples, orders that never expire', () => {
  expect(loadConfig({})).toMatchObject({
    environment: 'development',
    host: '127.0.0.1',
    port: 8000,
    databaseUrl: undefined,
    dataDir: '.data',
    databasePoolSize: 10,
    webhookSecrets: [DEVELOPMENT_WEBHOOK_SECRET],
    shop: { orderTtlMinutes: 0, currency: 'USD', paymentFailed: 'cancel' },
    logLevel: 'info',
    trustProxy: [],
    allowedHosts: [],
    drainSeconds: 0,
  });
  expect(DEVELOPMENT_WEBHOOK_SECRET).toBe('webhook-secret-key');
});

test('an empty setting counts as not set', () => {
  const empty = { PORT: '', HOST: '', DATABASE_URL: '', LOG_LEVEL: '', LOG_PRETTY: '', WEBHOOK_SECRET: '' };
  expect(loadConfig(empty)).toEqual(loadConfig({}));
});

test('production listens on every address', () => {
  expect(loadConfig(PRODUCTION)).toMatchObject({ environment: 'production', host: '0.0.0.0' });
  expect(loadConfig({ ...PRODUCTION, HOST: '127.0.0.1' }).host).toBe('127.0.0.1');
});

test('both secrets are kept while one replaces the other, the current one first', () => {
  const env = { WEBHOOK_SECRET: 'new', WEBHOOK_SECRET_PREVIOUS: 'old' };
  expect(loadConfig(env).webhookSecrets).toEqual(['new', 'old']);
});

test('what is loaded can no longer be changed', () => {
  const config = loadConfig({});
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.webhookSecrets)).toBe(true);
});

test('every wrong setting is named at once, one a line, with what is allowed', () => {
  const message = refusal({
    NODE_ENV: 'staging',
    PORT: '80000',
    DATABASE_URL: 'mysql://db/shop',
    DATABASE_POOL_SIZE: '0',
    LOG_LEVEL: 'loud',
    LOG_PRETTY: 'yes',
    TRUST_PROXY: 'maybe',
    ALLOWED_HOSTS: 'http://shop.test',
    HOST: '0.0.0.0',
    DRAIN_SECONDS: '-1',
    ORDER_TTL_MINUTES: '1.5',
    WEBHOOK_SECRET: 'whsec_!!!',
  });
  const named = [...message.matchAll(/\b[A-Z]+(?:_[A-Z]+)*\b(?= (?:must|starts))/g)].map(([name]) => name);
  expect(named.toSorted()).toEqual([
    'ALLOWED_HOSTS',
    'DATABASE_POOL_SIZE',
    'DATABASE_URL',
    'DRAIN_SECONDS',
    'HOST',
    'LOG_LEVEL',
    'LOG_PRETTY',
    'NODE_ENV',
    'ORDER_TTL_MINUTES',
    'PORT',
    'TRUST_PROXY',
    'WEBHOOK_SECRET',
  ]);
  expect(message).toContain('PORT must be a whole number from 0 to 65535, not "80000"');
  expect(message).toContain('NODE_ENV must be one of development, production, test, not "staging"');
  expect(message).toContain('ORDER_TTL_MINUTES must be a whole number from 0 to 525600, not "1.5"');
  const lines = message.split('\n');
  expect([lines.at(0), lines.at(-1)]).toEqual(['Wrong settings:', 'See .env.example.']);
  expect(lines.slice(1, -1)).toEqual(named.map((name) => expect.stringMatching(`^  ${name} .*\\.$`)));
});

describe('numbers are plain digits in their range', () => {
  test.each(['8e3', '0x50', '80.0', ' 80', '80 ', '-1', '65536', '+80', '99999999999', 'NaN'])(
    'PORT=%j is refused',
    (PORT) => {
      expect(refusal({ PORT })).toContain('PORT must be');
    },
  );

  test.each([
    ['0', 0],
    ['80', 80],
    ['65535', 65_535],
  ])('PORT=%s is taken', (PORT, port) => {
    expect(loadConfig({ PORT }).port).toBe(port);
  });
});

test('flags are true, false, 1 and 0', () => {
  const flags = ['true', '1', 'false', '0'].map((LOG_PRETTY) => loadConfig({ LOG_PRETTY }).logPretty);
  expect(flags).toEqual([true, true, false, false]);
});

describe('TRUST_PROXY is a list of networks', () => {
  test.each<[string, string[]]>([
    ['', []],
    ['false', []],
    ['loopback', ['loopback']],
    ['loopback, uniquelocal', ['loopback', 'uniquelocal']],
    ['10.0.0.0/8,192.168.1.1,fd00::/8,::1', ['10.0.0.0/8', '192.168.1.1', 'fd00::/8', '::1']],
  ])('%j is taken', (TRUST_PROXY, networks) => {
    expect(loadConfig({ TRUST_PROXY }).trustProxy).toEqual(networks);
  });

  // Each of them would believe an address that the caller has written.
  test.each([
    'true',
    '1',
    '2',
    '0.0.0.0/0',
    '::/0',
    'everywhere',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    ',',
  ])('%j is refused', (TRUST_PROXY) => {
    expect(refusal({ TRUST_PROXY })).toContain('TRUST_PROXY must be a list of networks');
    expect(refusal({ ...PRODUCTION, TRUST_PROXY })).toContain('TRUST_PROXY must be a list of networks');
  });
});

describe('outside production, where everybody may use the service, it listens on loopback only', () => {
  test.each(['127.0.0.1', '127.0.0.2', '::1', 'localhost', 'LOCALHOST'])('HOST=%s is taken', (HOST) => {
    expect(loadConfig({ HOST }).host).toBe(HOST);
  });

  test.each(['0.0.0.0', '::', '192.168.1.5', 'shop.internal', '127.example'])(
    'HOST=%s is refused',
    (HOST) => {
      expect(refusal({ HOST })).toContain('HOST must be 127.0.0.1, ::1 or localhost outside production');
      expect(refusal({ HOST, NODE_ENV: 'test' })).toContain('HOST must be');
      expect(loadConfig({ ...PRODUCTION, HOST }).host).toBe(HOST);
    },
  );
});

test('ALLOWED_HOSTS is a list of names without ports', () => {
  expect(loadConfig({ ALLOWED_HOSTS: 'shop.test, 192.168.1.5,[::1]' }).allowedHosts).toEqual([
    'shop.test',
    '192.168.1.5',
    '[::1]',
  ]);
  for (const ALLOWED_HOSTS of ['shop.test:80', '*', 'http://shop.test', 'a,,b', '-a']) {
    expect(refusal({ ALLOWED_HOSTS })).toContain('ALLOWED_HOSTS must be a list of host names');
  }
});

test('a wrong database URL is not repeated, because it may hold a password', () => {
  const message = refusal({ DATABASE_URL: 'mysql://shop:hunter2@db/shop' });
  expect(message).toContain('DATABASE_URL must look like');
  expect(message).not.toContain('hunter2');
});

describe('production refuses to start', () => {
  const known = 'must not be one of the published examples in production';
  const short = 'must have 24 bytes at least in production';
  test.each<[string, Record<string, string>, string]>([
    ['without a database', { DATABASE_URL: '' }, 'DATABASE_URL must be set'],
    ['without a webhook secret', { WEBHOOK_SECRET: '' }, 'WEBHOOK_SECRET must be set'],
    [
      'open, without ALLOW_OPEN',
      { ALLOW_OPEN: '' },
      'ALLOW_OPEN must be true in production: there are no API keys yet',
    ],
    ['open, with ALLOW_OPEN=false', { ALLOW_OPEN: 'false' }, 'ALLOW_OPEN must be true in production'],
    [
      'with the secret of the examples',
      { WEBHOOK_SECRET: DEVELOPMENT_WEBHOOK_SECRET },
      `WEBHOOK_SECRET ${known}`,
    ],
    [
      'with the secret of the examples as the previous one',
      { WEBHOOK_SECRET_PREVIOUS: DEVELOPMENT_WEBHOOK_SECRET },
      `WEBHOOK_SECRET_PREVIOUS ${known}`,
    ],
    [
      'with the secret that Standard Webhooks publishes',
      { WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' },
      `WEBHOOK_SECRET ${known}`,
    ],
    ['with a secret of one letter', { WEBHOOK_SECRET: 'a' }, `WEBHOOK_SECRET ${short}`],
    ['with a secret of 23 bytes', { WEBHOOK_SECRET: 'x'.repeat(23) }, `WEBHOOK_SECRET ${short}`],
    ['with a previous secret of 23 bytes', { WEBHOOK_SECRET_PREVIOUS: 'x'.repeat(23) }, `_PREVIOUS ${short}`],
    ['with 23 bytes in base64', { WEBHOOK_SECRET: standardSecret(23) }, `WEBHOOK_SECRET ${short}`],
  ])('%s', (_what, change, expected) => {
    expect(refusal({ ...PRODUCTION, ...change })).toContain(expected);
  });

  test('with all faults named at once', () => {
    const message = refusal({ NODE_ENV: 'production' });
    expect(message).toContain('DATABASE_URL must be set');
    expect(message).toContain('WEBHOOK_SECRET must be set');
    expect(message).toContain('ALLOW_OPEN must be true');
  });

  test('without repeating a secret', () => {
    expect(refusal({ ...PRODUCTION, WEBHOOK_SECRET: 'hunter2' })).not.toContain('hunter2');
  });
});

test.each(['x'.repeat(24), 'é'.repeat(12), standardSecret(24)])(
  'production takes a secret of 24 bytes: %s',
  (secret) => {
    const env = { ...PRODUCTION, WEBHOOK_SECRET: secret, WEBHOOK_SECRET_PREVIOUS: `${secret}${secret}` };
    const previous = secret.startsWith('whsec_') ? standardSecret(48) : env.WEBHOOK_SECRET_PREVIOUS;
    expect(loadConfig({ ...env, WEBHOOK_SECRET_PREVIOUS: previous }).webhookSecrets).toEqual([
      secret,
      previous,
    ]);
  },
);

test.each([
  'whsec_',
  'whsec_A',
  'whsec_AA',
  'whsec_AB==',
  'whsec_A===',
  'whsec_!!!',
  'whsec_AAAA AAAA',
  'whsec_AA-_',
])('what follows whsec_ is base64 as it would be written: %s is refused everywhere', (secret) => {
  expect(refusal({ WEBHOOK_SECRET: secret })).toContain('WEBHOOK_SECRET starts with whsec_');
  expect(refusal({ WEBHOOK_SECRET_PREVIOUS: secret })).toContain(
    'WEBHOOK_SECRET_PREVIOUS starts with whsec_',
  );
});

test('a migration needs no setting but those of the database', () => {
  const { NODE_ENV, DATABASE_URL } = PRODUCTION;
  expect(loadDatabaseConfig({ NODE_ENV, DATABASE_URL, PORT: 'none', DATABASE_PGBOUNCER: '1' })).toEqual({
    databaseUrl: DATABASE_URL,
    databasePgbouncer: true,
  });
});

describe('a .env file', () => {
  test('with a byte order mark keeps its first setting', () => {
    const bytes = Buffer.from('\uFEFFPORT=8112\nHOST=127.0.0.2\n');
    expect(parseEnvFile(bytes)).toEqual({ PORT: '8112', HOST: '127.0.0.2' });
  });

  test.each([
    ['UTF-16', Buffer.from('\uFEFFPORT=8112\n', 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('PORT=8112\n', 'utf16le')],
    ['Latin-1', Buffer.from('NAME=Bäckerei\n', 'latin1')],
  ])('in %s is refused in one sentence', (_encoding, bytes) => {
    expect(() => parseEnvFile(bytes)).toThrow(
      new StartupError('The file .env is not UTF-8 text. Save it with the encoding UTF-8.'),
    );
  });
});

/** Of so many random bytes, as a provider would make it. */
function standardSecret(bytes: number): string {
  return `whsec_${Buffer.alloc(bytes, 'key of a shop').toString('base64')}`;
}

test('STRIPE_WEBHOOK_SECRET is a signing secret, no API key; its mode is that of the environment unless it is set', () => {
  const stripe = { STRIPE_WEBHOOK_SECRET: `whsec_${'a'.repeat(32)}` };
  expect(loadConfig(stripe).stripe).toEqual({ secrets: [stripe.STRIPE_WEBHOOK_SECRET], livemode: false });
  expect(loadConfig(PRODUCTION).stripe).toEqual({ secrets: [], livemode: true });
  expect(loadConfig({ ...PRODUCTION, STRIPE_LIVEMODE: 'false' }).stripe.livemode).toBe(false);
  const refused = ['sk_live_hunter2', 'whsec_a b'].map((secret) =>
    refusal({ STRIPE_WEBHOOK_SECRET: secret }),
  );
  for (const text of refused) expect(text).toMatch(/STRIPE_WEBHOOK_SECRET must be the signing secret[^2]*$/);
  const short = refusal({ ...PRODUCTION, STRIPE_WEBHOOK_SECRET: 'whsec_short' });
  expect(short).toContain('STRIPE_WEBHOOK_SECRET must have 24 bytes at least in production');
});
