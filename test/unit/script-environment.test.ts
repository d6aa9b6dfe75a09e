import { expect, test } from 'vitest';

import { readEnvironment } from '../../scripts/support/environment.ts';

test.each([
  [{}, 'http://127.0.0.1:8000'],
  [{ PORT: '8001' }, 'http://127.0.0.1:8001'],
  [{ HOST: '0.0.0.0', PORT: '8001' }, 'http://127.0.0.1:8001'],
  [{ HOST: '::', PORT: '8001' }, 'http://[::1]:8001'],
  [{ HOST: '::1' }, 'http://[::1]:8000'],
  [{ HOST: 'localhost', PORT: '' }, 'http://localhost:8000'],
  [{ HOST: '10.0.0.7', PORT: '80' }, 'http://10.0.0.7'],
  [{ BASE_URL: 'https://shop.example/api/v1/', HOST: '10.0.0.7' }, 'https://shop.example/api/v1'],
])('with %j the service is at %s', (env, url) => {
  expect(readEnvironment(env).baseUrl).toBe(url);
});

test.each([
  [{ PORT: '0' }, 'PORT 0 takes any free port'],
  [{ PORT: 'http' }, 'are no address to call'],
  [{ PORT: '70000' }, 'are no address to call'],
  [{ HOST: 'shop.example/api' }, 'are no address to call'],
  [{ BASE_URL: 'shop.example' }, 'BASE_URL must look like'],
])('with %j a script says: %s', (env, sentence) => {
  expect(() => readEnvironment(env)).toThrow(sentence);
});
