import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';

import getPort from 'get-port';
import { describe, expect, onTestFinished, test } from 'vitest';

import { startChild } from '../../scripts/support/children.ts';
import { useTestDatabase } from '../support/database.ts';
import { BuiltService, KeepAliveClient, startProcess } from '../support/process.ts';

const linux = process.platform === 'linux';

test('without a terminal, stdout is JSON lines and nothing else, with no query, no password and no user in them', async () => {
  const database = await useTestDatabase();
  const url = new URL(database.url);
  const query = new URLSearchParams({ user: url.username, password: url.password }).toString();
  const service = await startProcess({ DATABASE_URL: `postgres://${url.host}${url.pathname}?${query}` });
  const client = new KeepAliveClient(service.url);
  await client.call('GET', '/orders?customer_email=ada@example.com');
  await client.call('GET', '/nowhere?customer_email=ada@example.com');
  await client.call('GET', '/api/v1/orders?customer_email=not-an-address');
  client.close();
  expect(await service.end('SIGTERM')).toMatchObject({ code: 0 });
  const lines = service.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['listening', 'request', 'stopped']));
  expect(lines.find(({ msg }) => msg === 'listening')).toMatchObject({
    url: service.url,
    database: `${url.host}${url.pathname}`,
  });
  expect(lines.filter(({ msg }) => msg === 'request').map((line) => [line.path, line.status])).toEqual([
    ['/orders', 200],
    ['/nowhere', 404],
    ['/api/v1/orders', 422],
  ]);
  expect(service.stdout).not.toMatch(/ada@|not-an-address|password/);
  expect(service.stdout).not.toContain(url.password);
  expect(service.stderr).toBe('');
});

/** Enough lines to fill the pipe, and more than a disk without space takes. */
const CALLS = 3000;

describe.runIf(linux)('the service goes on, and ends with 0,', () => {
  test.each(['stands still', 'has ended', 'is a full disk'])('when what reads stdout %s', async (what) => {
    const database = await useTestDatabase();
    const port = await getPort({ host: '127.0.0.1' });
    const full = openSync('/dev/full', 'w');
    onTestFinished(() => closeSync(full));
    const env = { DATABASE_URL: database.url, PORT: String(port) };
    const service = new BuiltService(env, what === 'is a full disk' ? full : 'pipe');
    service.child.stdout?.removeAllListeners('data');
    service.child.stdout?.pause();
    if (what === 'has ended') service.child.stdout?.destroy();
    const url = `http://127.0.0.1:${port}`;
    await expect
      .poll(
        () =>
          fetch(`${url}/healthz`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 30_000 },
      )
      .toBe(200);
    const client = new KeepAliveClient(url);
    for (let count = 0; count < CALLS; count++) {
      expect((await client.call('GET', `/nowhere/${'x'.repeat(200)}`)).status).toBe(404);
    }
    client.close();
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const lost = Number(/^log_lines_lost_total (\d+)/m.exec(metrics)?.[1]);
    // What waits for a reader that stands still is not lost yet.
    expect(lost > 0).toBe(what !== 'stands still');
    // A process that has exited is only heard of once its stdout is at its end.
    const exited = once(service.child, 'exit');
    service.child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    service.child.stdout?.destroy();
    expect(service.stderr).toBe('');
  });
});

test('a hangup without a terminal is ignored, and a crash ends the process by its signal', async () => {
  const database = await useTestDatabase();
  const service = await startProcess({ DATABASE_URL: database.url });
  service.child.kill('SIGHUP');
  const client = new KeepAliveClient(service.url);
  expect((await client.call('GET', '/healthz')).status).toBe(200);
  client.close();
  expect(await service.end('SIGSEGV')).toMatchObject({ code: null, signal: 'SIGSEGV' });
});

/** The service at a terminal of its own, which util-linux's `script` makes, and what it shows there. */
function startAtTerminal(env: Record<string, string>) {
  const entry = path.resolve(import.meta.dirname, '..', '..', 'dist', 'server.js');
  const command = `echo "pid $$"; exec "${process.execPath}" "${entry}"`;
  const child = startChild('script', ['-qfec', command, '/dev/null'], {
    env: { TERM: 'xterm-256color', TZ: 'UTC', PORT: '0', ...env },
  });
  const shown = { text: '' };
  child.stdout.on('data', (chunk: Buffer) => (shown.text += chunk.toString()));
  const pid = () => Number(/^pid (\d+)/.exec(shown.text)?.[1]);
  onTestFinished(() => {
    child.kill('SIGKILL');
    if (isAlive(pid())) process.kill(pid(), 'SIGKILL');
  });
  const url = () => /API +(http:\S+)/.exec(shown.text)?.[1] ?? '';
  return { child, shown, pid, url };
}

function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}

const hasScript = linux && spawnSync('script', ['--version']).status === 0;

describe('at a terminal', () => {
  test('a person sees the summary, a short coloured line a request, and where the data is; a closed window ends it', async ({
    skip,
  }) => {
    skip(!hasScript, 'script (util-linux) is not installed, so nothing was tested at a terminal');
    const database = await useTestDatabase();
    const first = startAtTerminal({ DATABASE_URL: database.url });
    await expect.poll(first.url).not.toBe('');
    await fetch(`${first.url()}/orders?customer_email=ada@example.com`);
    await fetch(`${first.url()}/docs/static/swagger-ui.css`);
    process.kill(first.pid(), 'SIGINT');
    await once(first.child, 'close');
    const lines = stripVTControlCharacters(first.shown.text).split('\r\n');
    expect(lines.filter((line) => / GET \S+ \d/.test(line))).toEqual([
      expect.stringMatching(/^\d\d:\d\d:\d\d GET \/orders 200 [\d.]+ ms \S+$/),
    ]);
    expect(first.shown.text).toContain('\u001B[32m200\u001B[39m');
    expect(lines.filter((line) => line.startsWith('{'))).toEqual([]);
    expect(lines.at(-2)).toBe('Stopped.');

    const second = startAtTerminal({ DATABASE_URL: database.url });
    await expect.poll(second.url).not.toBe('');
    second.child.kill('SIGKILL');
    await expect.poll(() => isAlive(second.pid())).toBe(false);
  });
});
