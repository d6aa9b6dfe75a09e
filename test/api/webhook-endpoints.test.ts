import { describe, expect, test } from 'vitest';

import { ENDPOINTS_MAX } from '../../src/outbound/endpoint.service.ts';
import { UnresolvedError } from '../../src/outbound/guarded-connector.ts';
import { StartupError } from '../../src/lib/startup-error.ts';
import { DISGUISED_HOSTS, WRONG_URLS } from '../support/disguised-addresses.ts';
import '../support/problems.ts';
import { type TestService, useSharedService, useTestService } from '../support/service.ts';

const url = 'https://shop.example/hooks';

/** Names as name servers know them. */
const NAMES: Record<string, string[]> = {
  'shop.example': ['93.184.216.34', '2606:4700::1111'],
  'inside.example': ['10.0.0.7'],
  'both.example': ['93.184.216.34', '127.0.0.1'],
};
const resolve = async (name: string) => {
  const addresses = NAMES[name];
  if (addresses === undefined) throw new UnresolvedError(name);
  return addresses;
};

const service = useSharedService({ outbound: { rules: { insecure: false }, resolve } });

/** A few tests share the limit of endpoints, so each deletes what it has created. */
async function create(fields: Record<string, unknown> = {}, headers: Record<string, string> = {}) {
  const answer = await service.call('POST', '/webhook-endpoints', { url, ...fields }, headers);
  expect(answer.status).toBe(201);
  return answer;
}

function remove({ body }: { body: { id: number } }) {
  return service.call('DELETE', `/webhook-endpoints/${body.id}`);
}

function read(id: number, from: Pick<TestService, 'call'> = service) {
  return from.call('GET', `/webhook-endpoints/${id}`);
}

test('an endpoint is created with a secret that is shown once', async () => {
  const created = await create({ description: 'The warehouse', types: ['order.paid'] });
  const { secret, ...endpoint } = created.body;
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(endpoint).toEqual({
    id: endpoint.id,
    url,
    description: 'The warehouse',
    types: ['order.paid'],
    ordering: 'per_aggregate',
    status: 'enabled',
    failing_since: null,
    previous_secret_until: null,
    version: 1,
    created_at: expect.stringMatching(/Z$/),
    updated_at: endpoint.created_at,
  });
  expect(created.headers).toMatchObject({
    location: `/webhook-endpoints/${endpoint.id}`,
    etag: '"1"',
    'cache-control': 'no-store',
  });
  expect((await read(endpoint.id)).body).toEqual(endpoint);
  expect((await service.call('GET', '/webhook-endpoints')).body).toEqual([endpoint]);
  await remove(created);
});

test('a replay has no secret, and no table has it in clear', async () => {
  const headers = { 'idempotency-key': 'create-endpoint' };
  const first = await create({}, headers);
  const again = await create({}, headers);
  const { secret, ...endpoint } = first.body;
  expect(again.body).toEqual(endpoint);
  expect(again.headers['idempotency-replayed']).toBe('true');
  const path = `/webhook-endpoints/${endpoint.id}/rotate`;
  const rotated = await service.call('POST', path, undefined, { 'idempotency-key': 'rotate' });
  const replayed = await service.call('POST', path, undefined, { 'idempotency-key': 'rotate' });
  const { secret: next, ...after } = rotated.body;
  expect(next).not.toBe(secret);
  expect([rotated.status, replayed.status, replayed.body]).toEqual([200, 200, after]);
  expect(Date.parse(after.previous_secret_until) - Date.parse(after.updated_at)).toBe(86_400_000);
  expect(rotated.headers['cache-control']).toBe('no-store');

  const tables = await service.database.query<{ name: string }>(
    "select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
  );
  const texts = await Promise.all(
    tables.map(({ name }) =>
      service.database.query<{ text: string }>(`select t::text as text from ${name} t`),
    ),
  );
  const dump = JSON.stringify(texts);
  // The dump is one of these rows.
  expect(dump).toContain('rotate,');
  for (const shown of [secret, next]) {
    for (const part of [shown, shown.slice(6), Buffer.from(shown.slice(6), 'base64').toString('hex')]) {
      expect(dump).not.toContain(part);
    }
  }
  await remove(first);
});

test(`${DISGUISED_HOSTS.length} disguised hosts and ${WRONG_URLS.length} wrong URLs are 422, for a new endpoint and for one that is there`, async () => {
  const created = await create();
  const wrong = [...DISGUISED_HOSTS.map((host) => `https://${host}/hooks`), ...WRONG_URLS];
  for (const text of [...wrong, 'https://inside.example/', 'https://both.example/']) {
    expect(await service.call('POST', '/webhook-endpoints', { url: text })).toHaveFaults('body/url');
    const edited = await service.call('PATCH', `/webhook-endpoints/${created.body.id}`, { url: text });
    expect(edited).toHaveFaults('body/url');
  }
  expect((await read(created.body.id)).body.url).toBe(url);
  await remove(created);
});

test('a name that cannot be resolved yet is taken; each send judges it', async () => {
  const { status } = await remove(await create({ url: 'https://soon.example/' }));
  expect(status).toBe(204);
});

test.each([
  [{}, ['body/url']],
  [{ url: 5 }, ['body/url']],
  [{ url, types: [] }, ['body/types']],
  [{ url, types: ['order.sold'] }, ['body/types']],
  [{ url, types: ['*'] }, ['body/types/0']],
  [{ url, types: ['order.paid', 'order.paid'] }, ['body/types']],
  [{ url, ordering: 'fifo' }, ['body/ordering']],
  [{ url, description: '' }, ['body/description']],
  [{ url, secret: 'whsec_mine' }, ['body/secret']],
  [{ url, status: 'paused' }, ['body/status']],
])('%j: 422', async (body, paths) => {
  expect(await service.call('POST', '/webhook-endpoints', body)).toHaveFaults(...paths);
});

describe('editing', () => {
  test('changes what is given, tells it once, and never the URL', async () => {
    const created = await create({ url: `${url}?token=hidden` });
    const { id } = created.body;
    const edit = { types: ['order.paid'], ordering: 'none', status: 'paused', description: 'x' };
    const edited = await service.call('PATCH', `/webhook-endpoints/${id}`, edit, { 'if-match': '"1"' });
    expect([edited.status, edited.headers['etag']]).toEqual([200, '"2"']);
    expect(edited.body).toMatchObject({ ...edit, version: 2 });
    expect(edited.body).not.toHaveProperty('secret');
    const again = await service.call('PATCH', `/webhook-endpoints/${id}`, edit);
    expect([again.status, again.body]).toEqual([200, edited.body]);
    const all = await service.call('PATCH', `/webhook-endpoints/${id}`, { types: null, status: 'enabled' });
    expect(all.body).toMatchObject({ types: null, status: 'enabled', version: 3 });
    const events = await service.database.query<{ type: string; payload: unknown }>(
      "select type, payload from events where aggregate_type = 'webhook_endpoint' and aggregate_id = $1 order by id",
      [id],
    );
    expect(events.map(({ type }) => type)).toEqual([
      'endpoint.created',
      'endpoint.updated',
      'endpoint.updated',
    ]);
    expect(JSON.stringify(events)).toContain('https://shop.example');
    expect(JSON.stringify(events)).not.toContain('hidden');
    await remove(created);
  });

  test.each([
    [{}, 'body'],
    [{ status: 'disabled' }, 'body/status'],
    [{ types: [] }, 'body/types'],
    [{ types: ['order.sold'] }, 'body/types'],
    [{ version: 2 }, 'body/version'],
  ])('%j: 422', async (body, path) => {
    const created = await create();
    expect(await service.call('PATCH', `/webhook-endpoints/${created.body.id}`, body)).toHaveFaults(path);
    await remove(created);
  });

  test('a stale version is 412, for every change', async () => {
    const created = await create();
    const path = `/webhook-endpoints/${created.body.id}`;
    for (const [method, at, body] of [
      ['PATCH', path, { status: 'paused' }],
      ['POST', `${path}/rotate`, undefined],
      ['DELETE', path, undefined],
    ] as const) {
      const stale = await service.call(method, at, body, { 'if-match': '"7"' });
      expect(stale).toBeProblem(412, 'version_mismatch');
      expect(JSON.stringify(stale.body)).not.toContain('v1.');
    }
    await remove(created);
  });
});

test('a deleted endpoint is not there for any call', async () => {
  const created = await create();
  expect((await remove(created)).status).toBe(204);
  const path = `/webhook-endpoints/${created.body.id}`;
  const calls = [
    read(created.body.id),
    service.call('PATCH', path, { status: 'paused' }),
    service.call('DELETE', path),
    service.call('POST', `${path}/rotate`),
  ];
  for (const call of calls) expect(await call).toBeProblem(404, 'endpoint_not_found');
  expect((await service.call('GET', '/webhook-endpoints')).body).toEqual([]);
});

test(`there can be ${ENDPOINTS_MAX} endpoints and no more, also when many are created at once`, async () => {
  const made = await Promise.all(
    Array.from({ length: ENDPOINTS_MAX + 10 }, (_, i) =>
      service.call('POST', '/webhook-endpoints', { url: `${url}/${i}` }),
    ),
  );
  const counts = [201, 409].map((status) => made.filter((answer) => answer.status === status).length);
  expect(counts).toEqual([ENDPOINTS_MAX, 10]);
  expect(made.find(({ status }) => status === 409)).toBeProblem(409, 'endpoint_limit_reached');
  for (const answer of made.filter(({ status }) => status === 201)) await remove(answer);
});

function startWith(database: TestService['database'], secretsKeys: Buffer[]) {
  return useTestService({ database, outbound: { secretsKeys } });
}

describe('keys of secrets', () => {
  const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];

  test('without a key there are no endpoints', async () => {
    const { call } = await useTestService({ outbound: { secretsKeys: [] } });
    expect(await call('POST', '/webhook-endpoints', { url })).toBeProblem(409, 'secrets_key_missing');
  });

  test('a new key encrypts anew what the previous one has encrypted; an unknown one stops the start', async () => {
    const { database, services, call } = await useTestService({ outbound: { secretsKeys: [first] } });
    const { body } = await call('POST', '/webhook-endpoints', { url });
    await call('POST', `/webhook-endpoints/${body.id}/rotate`);
    await services.endpoints.checkSecrets();
    const stored = () =>
      database.query<{ secret: string; secret_previous: string }>(
        'select secret, secret_previous, version from webhook_endpoints',
      );
    const before = await stored();
    for (const keys of [[], [second]]) {
      const other = await startWith(database, keys);
      await expect(other.services.endpoints.checkSecrets()).rejects.toThrow(StartupError);
    }
    expect(await stored()).toEqual(before);
    const rotated = await startWith(database, [second, first]);
    await rotated.services.endpoints.checkSecrets();
    const [after] = await stored();
    expect(after).toMatchObject({ version: 2 });
    expect([after?.secret, after?.secret_previous]).not.toContain(before[0]?.secret);
    const alone = await startWith(database, [second]);
    await expect(alone.services.endpoints.checkSecrets()).resolves.toBeUndefined();
  });

  test("one endpoint's secret does not open in the row of another", async () => {
    const { database, call } = await useTestService();
    await call('POST', '/webhook-endpoints', { url });
    await call('POST', '/webhook-endpoints', { url });
    await database.query(
      'update webhook_endpoints e set secret = o.secret from webhook_endpoints o where o.id <> e.id',
    );
    const answer = await call('POST', '/webhook-endpoints/1/rotate');
    expect(answer).toBeProblem(500, 'internal_error');
  });
});
