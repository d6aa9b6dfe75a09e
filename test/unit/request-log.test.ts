import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';

import Fastify, { LogController } from 'fastify';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';

import { observeRequests } from '../../src/http/request-context.ts';
import { jsonLine, pathOf, type RequestEntry, terminalLine } from '../../src/http/request-line.ts';
import { createDeferred } from '../../src/lib/deferred.ts';
import { createMetrics } from '../../src/metrics.ts';

/** An app of a few routes, and what it logs. */
function startApp() {
  const entries: RequestEntry[] = [];
  const metrics = createMetrics();
  const app = Fastify({
    childLoggerFactory: () => pino({ level: 'silent' }),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => 'mine',
  });
  observeRequests(app, metrics, (entry) => entries.push(entry));
  app.get('/things/:id', async () => ({}));
  app.get('/unchanged', async (_request, reply) => reply.code(304).send());
  app.get('/broken', async () => {
    throw new Error('broken');
  });
  app.get('/files/*', (_request, reply) => reply.callNotFound());
  app.get('/docs/static/*', async () => 'a script');
  return { app, entries, metrics };
}

test.each([
  ['GET', '/things/1', 200, '/things/:id'],
  ['HEAD', '/things/1', 200, '/things/:id'],
  ['GET', '/unchanged', 304, '/unchanged'],
  ['GET', '/broken', 500, '/broken'],
  ['GET', '/files/nope', 404, 'unknown'],
  ['GET', '/nope', 404, 'unknown'],
] as const)('%s %s is logged once and counted once: %i of %s', async (method, url, status, route) => {
  const { app, entries, metrics } = startApp();
  await app.inject({ method, url });
  expect(entries).toEqual([expect.objectContaining({ method, url, status, aborted: false })]);
  const { values } = await metrics.requestDuration.get();
  const counts = values.filter(({ metricName }) => metricName.endsWith('_count'));
  expect(counts.map(({ labels, value }) => [labels, value])).toEqual([[{ method, route, status }, 1]]);
});

test('what a browser fetches to show the docs is counted, and leaves no line', async () => {
  const { app, entries, metrics } = startApp();
  await app.inject('/docs/static/swagger-ui.js');
  expect(entries).toEqual([]);
  expect(await metrics.registry.metrics()).toContain('route="/docs/static/*",status="200"} 1');
});

test('a client that leaves before its answer is there is marked in the line and counted by route', async () => {
  const { app, entries, metrics } = startApp();
  const arrived = createDeferred();
  const answer = createDeferred();
  app.get('/slow/:id', async () => {
    arrived.resolve();
    await answer.promise;
    return {};
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1', () => socket.write('GET /slow/1 HTTP/1.1\r\nHost: shop\r\n\r\n'));
  const closed = once(app.server, 'connection').then(([other]: Socket[]) => once(other as Socket, 'close'));
  await arrived.promise;
  socket.destroy();
  await closed;
  answer.resolve();
  await expect.poll(() => entries).toEqual([expect.objectContaining({ url: '/slow/1', aborted: true })]);
  const { values } = await metrics.requestsAborted.get();
  expect(values).toEqual([{ labels: { route: '/slow/:id' }, value: 1 }]);
  await app.close();
});

const ENTRY: RequestEntry = {
  requestId: 'mine',
  actor: 'anonymous',
  method: 'GET',
  url: '/orders?customer_email=ada@example.com',
  status: 200,
  durationMs: 6.2345,
  aborted: false,
};

describe('a path is logged without', () => {
  test.each([
    ['its query', '/orders?customer_email=ada@example.com', '/orders'],
    ['an empty query', '/orders?', '/orders'],
    ['the host of a proxy', 'http://ada:secret@shop.example/orders/1?x=/2', '/orders/1'],
    ['a host alone', 'HTTP://shop.example', ''],
    ['a host and its query', 'http://shop.example?x', ''],
    ['what is past 256 characters', `/${'x'.repeat(16_000)}?y`, `/${'x'.repeat(254)}…`],
    ['anything else', '/%3Fx', '/%3Fx'],
    ['two slashes', '//orders', '//orders'],
  ])('%s', (_what, url, path) => {
    expect(pathOf(url)).toBe(path);
  });
});

describe('as a line of JSON', () => {
  test.each(['/nope', '/a"b', '/a\\b?q=%22', '/%0A', '/ä', '/\u2028', '/\n'])(
    'a request for %s is one line, with the fields that the logger itself would write',
    (url) => {
      const line = jsonLine({ ...ENTRY, url });
      expect(line.indexOf('\n')).toBe(line.length - 1);
      const { time, ...entry } = JSON.parse(line);
      expect(Math.abs(time - Date.now())).toBeLessThan(60_000);
      expect(entry).toEqual({
        level: 30,
        request_id: 'mine',
        actor: 'anonymous',
        method: 'GET',
        path: pathOf(url),
        status: 200,
        duration_ms: 6.23,
        msg: 'request',
      });
    },
  );

  test('an aborted one says so', () => {
    expect(JSON.parse(jsonLine({ ...ENTRY, aborted: true }))).toMatchObject({
      aborted: true,
      msg: 'request',
    });
  });
});

describe('at a terminal', () => {
  test.each([
    [{}, 'GET /orders 200 6 ms mine'],
    [{ durationMs: 0.0432 }, 'GET /orders 200 0.04 ms mine'],
    [{ durationMs: 1234.5 }, 'GET /orders 200 1235 ms mine'],
    [{ aborted: true }, 'GET /orders 200 6 ms aborted mine'],
    [{ url: '/\u009B2J\u001B[2J' }, 'GET /?2J?[2J 200 6 ms mine'],
  ])('%j is one short line', (change, expected) => {
    const [time, ...rest] = terminalLine({ ...ENTRY, ...change }, false).split(' ');
    expect(time).toMatch(/^\d\d:\d\d:\d\d$/);
    expect(rest.join(' ')).toBe(`${expected}\n`);
  });

  test.each([
    [200, 32],
    [304, 36],
    [404, 33],
    [500, 31],
  ])('the status %i has the colour %i', (status, colour) => {
    expect(terminalLine({ ...ENTRY, status }, true)).toContain(`\u001B[${colour}m${status}\u001B[39m`);
  });
});
