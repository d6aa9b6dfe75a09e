import { expect, test } from 'vitest';

import { loadConfig } from '../../src/config.ts';
import { DEVELOPMENT_SECRETS_KEY } from '../../src/settings.ts';

const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://shop@db.internal/shop',
  WEBHOOK_SECRET: 'a secret of twenty-four bytes, and more',
  ALLOW_OPEN: 'true',
};
const FIRST = Buffer.alloc(32, 1).toString('hex');
const SECOND = Buffer.alloc(32, 2).toString('base64');

test('the current key comes first; production has none of its own', () => {
  const env = { ...PRODUCTION, SECRETS_KEY: FIRST, SECRETS_KEY_PREVIOUS: SECOND };
  expect(loadConfig(env).secretsKeys).toEqual([Buffer.alloc(32, 1), Buffer.alloc(32, 2)]);
  expect(loadConfig(PRODUCTION).secretsKeys).toEqual([]);
  expect(loadConfig({}).secretsKeys).toHaveLength(1);
});

test.each([
  [{ SECRETS_KEY: DEVELOPMENT_SECRETS_KEY }, 'SECRETS_KEY must not be the key of the examples'],
  [
    { SECRETS_KEY: FIRST, SECRETS_KEY_PREVIOUS: DEVELOPMENT_SECRETS_KEY },
    'PREVIOUS must not be the key of the examples',
  ],
  [{ SECRETS_KEY_PREVIOUS: SECOND }, 'SECRETS_KEY must be set where SECRETS_KEY_PREVIOUS is'],
  [{ SECRETS_KEY: 'hunter2' }, 'SECRETS_KEY must be 32 random bytes'],
  [{ ALLOW_INSECURE_ENDPOINTS: 'true' }, 'ALLOW_INSECURE_ENDPOINTS must not be true in production'],
])('production refuses %j', (change, sentence) => {
  expect(() => loadConfig({ ...PRODUCTION, ...change })).toThrow(sentence);
  expect(() => loadConfig({ ...PRODUCTION, ...change })).not.toThrow('hunter2');
});
