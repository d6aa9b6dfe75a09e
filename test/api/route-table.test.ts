import { expect, test } from 'vitest';

import { DEADLINE_MS } from '../../src/http/route-config.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

const ROLES: ReadonlySet<string> = new Set(['public', 'reader', 'writer', 'admin']);
const COSTS: ReadonlySet<string> = new Set(['exempt', 'point', 'scan', 'write', 'order']);

/** The routes that need no key at all. A new one here is a decision about who may do what. */
const PUBLIC: ReadonlySet<string> = new Set([
  '/',
  '/health',
  '/healthz',
  '/readyz',
  '/problems',
  '/problems/:code',
  '/webhooks/payment',
  '/webhooks/stripe',
  '/openapi.json',
  '/openapi.yaml',
  '/redoc',
]);

function routes() {
  return service.app.routeTable.map(({ methods, url, config }) => ({
    name: `${methods.join(',')} ${url}`,
    path: url.replace(/^\/api\/v1/, '') || '/',
    methods,
    config,
  }));
}

test('every route declares its role, its cost and its deadline', () => {
  const undeclared = routes().filter(
    ({ config: { role = '', cost = '', deadlineMs = 0 } }) =>
      !ROLES.has(role) || !COSTS.has(cost) || deadlineMs < DEADLINE_MS,
  );
  expect(undeclared.map(({ name }) => name)).toEqual([]);
  expect(routes().length).toBeGreaterThan(40);
});

test('only pages, probes and the signed webhook are public', () => {
  const others = routes().filter(
    ({ path, config }) => config.role === 'public' && !PUBLIC.has(path) && !/^\/docs(\/|$)/.test(path),
  );
  expect(others.map(({ name }) => name)).toEqual([]);
});

test('no reader can reach a call that changes something', () => {
  const changing = routes().filter(({ methods }) => !methods.every((method) => /^(GET|HEAD)$/.test(method)));
  const open = changing.filter(({ config }) => config.role === 'reader');
  expect(new Set(open.map(({ path }) => path))).toEqual(new Set(['/orders/preview']));
});
