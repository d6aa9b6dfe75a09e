import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { useTestDatabase } from '../support/database.ts';
import { KeepAliveClient, BuiltService, startProcess, useEmptyDatabase } from '../support/process.ts';

/** A port that another program listens on until the test ends. */
async function takePort(): Promise<number> {
  const squatter = createServer();
  squatter.listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  onTestFinished(() => void squatter.close());
  return (squatter.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts the service, which must end with 1. @returns what it says, which is one sentence when nothing else is said */
async function refusal(env: Record<string, string>, lines = 1): Promise<string> {
  const service = new BuiltService({ LOG_LEVEL: 'silent', ...env });
  expect(await service.exited).toMatchObject({ code: 1, signal: null });
  expect(service.stdout).toBe('');
  expect(service.stderr.trimEnd().split('\n')).toHaveLength(lines);
  expect(service.stderr).not.toMatch(/\bat .*:\d+:\d+|Error:/);
  return service.stderr.trimEnd();
}

test('a port in use: exit 1 and one sentence that names the port and PORT', async () => {
  const database = await useTestDatabase();
  const port = await takePort();
  expect(await refusal({ DATABASE_URL: database.url, PORT: String(port) })).toBe(
    `Port ${port} on 127.0.0.1 is in use. Stop what listens there, or set PORT to another one.`,
  );
});

test('a port in use is found before a database is made below DATA_DIR', async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'start-test-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  const port = await takePort();
  expect(await refusal({ DATA_DIR: dataDir, PORT: String(port) })).toContain(
    `Port ${port} on 127.0.0.1 is in use`,
  );
  expect(await readdir(dataDir)).toEqual([]);
});

test.each([
  ['192.0.2.1', 'EADDRNOTAVAIL'],
  ['fe80::1', 'E[A-Z]+'],
  ['no-such-host.invalid', 'E[A-Z_]+'],
])('HOST=%s: exit 1 and one sentence that names HOST', async (host, code) => {
  // Outside production, every address beyond loopback is refused before.
  const sentence = await refusal({
    NODE_ENV: 'production',
    ALLOW_OPEN: 'true',
    WEBHOOK_SECRET: 'a-secret-of-24-bytes-or-more',
    DATABASE_URL: 'postgres://127.0.0.1:1/none',
    HOST: host,
    PORT: '8000',
  });
  expect(sentence).toMatch(
    new RegExp(
      `^Cannot listen on ${host.replaceAll('.', '\\.')}:8000 \\(${code}.*\\)\\. Set HOST and PORT to others\\.$`,
    ),
  );
});

test('HOST=0.0.0.0 outside production: exit 1 and one sentence', async () => {
  expect(await refusal({ HOST: '0.0.0.0' }, 3)).toContain('HOST must be 127.0.0.1, ::1 or localhost');
});

test('SIGTERM while another instance migrates: exit 0 at once, and nothing was migrated', async () => {
  const database = await useEmptyDatabase();
  await database.query('select pg_advisory_lock(3853314791062309107)');
  const service = new BuiltService({ DATABASE_URL: database.url });
  const waiting = "select from pg_locks where locktype = 'advisory' and not granted";
  await expect.poll(() => database.query(waiting)).toHaveLength(1);
  // At its bound of 9.5 s on closing everything, it would end with 1.
  expect(await service.end('SIGTERM')).toMatchObject({ code: 0, signal: null });
  expect(service.stderr).toBe('');
  await database.query('select pg_advisory_unlock(3853314791062309107)');
});

test('a database that refuses connections: exit 1 and one sentence with its address, without the password', async () => {
  const port = await closedPort();
  const sentence = await refusal({ DATABASE_URL: `postgres://shop:secret@127.0.0.1:${port}/shop` });
  expect(sentence).toBe(
    `The database at 127.0.0.1:${port} cannot be used (connect ECONNREFUSED 127.0.0.1:${port}). ` +
      'Check DATABASE_URL, or leave it unset to run on the embedded PostgreSQL.',
  );
});

test('a database that does not exist: exit 1 and one sentence with its name', async () => {
  const database = await useTestDatabase();
  const url = new URL(database.url);
  url.pathname = '/no_such_database';
  expect(await refusal({ DATABASE_URL: url.href })).toContain('database "no_such_database" does not exist');
});

test('5 wrong settings at once: exit 1 and a line for each of them', async () => {
  const env = {
    PORT: '99999',
    DATABASE_URL: 'mysql://shop:secret@localhost/shop',
    DATABASE_POOL_SIZE: 'many',
    LOG_LEVEL: 'loud',
    TRUST_PROXY: 'maybe',
  };
  const sentence = await refusal(env, 7);
  for (const name of Object.keys(env)) {
    expect(sentence).toMatch(new RegExp(`^  ${name} must .*\\.$`, 'm'));
  }
  expect(sentence).not.toContain('secret');
});

test('production without its settings: exit 1 and a line for each of them', async () => {
  const sentence = await refusal({ NODE_ENV: 'production' }, 5);
  expect(sentence).toContain('DATABASE_URL must be set in production');
  expect(sentence).toContain('WEBHOOK_SECRET must be set in production');
});

test.each([1, 2, 3])(
  'two instances start at once on an empty database (round %i): both come up, each migration ran once',
  async () => {
    const database = await useEmptyDatabase();
    const services = await Promise.all([1, 2].map(() => startProcess({ DATABASE_URL: database.url })));
    for (const { url } of services) {
      const client = new KeepAliveClient(url);
      expect((await client.call('GET', '/readyz')).status).toBe(200);
      expect((await client.call('GET', '/products')).body).toEqual([]);
      client.close();
    }
    const migrated = services.filter(({ stdout }) => stdout.includes('"msg":"migrated"'));
    expect(migrated).toHaveLength(1);
    const files = (await readdir('migrations')).filter((name) => name.endsWith('.sql'));
    expect(await database.query('select from kysely_migration')).toHaveLength(files.length);
    const exits = await Promise.all(services.map((service) => service.end('SIGTERM')));
    expect(exits.map(({ code }) => code)).toEqual([0, 0]);
  },
);
