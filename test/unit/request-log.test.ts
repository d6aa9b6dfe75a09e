import Fastify, { LogController } from 'fastify';
import { type Level, pino } from 'pino';
import { expect, test } from 'vitest';

import { observeRequests } from '../../src/http/request-context.ts';
import { createMetrics } from '../../src/lib/metrics.ts';

/** An app of a few routes that is given its logger as ours is, and what it logs. */
function startApp(level: Level) {
  const lines: string[] = [];
  const logger = pino({ level, base: null }, { write: (line: string) => lines.push(line) });
  const metrics = createMetrics();
  const app = Fastify({
    childLoggerFactory: () => logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => 'mine',
  });
  observeRequests(app, metrics, logger);
  app.get('/things/:id', async () => ({}));
  app.get('/unchanged', async (_request, reply) => reply.code(304).send());
  app.get('/broken', async () => {
    throw new Error('broken');
  });
  app.get('/files/*', (_request, reply) => reply.callNotFound());
  return { app, lines, metrics };
}

/** The log lines of one request to an app that logs at a level. */
async function linesOf(url: string, level: Level): Promise<string[]> {
  const { app, lines } = startApp(level);
  await app.inject({ method: 'GET', url });
  return lines;
}

test.each([
  ['GET', '/things/1', 200, '/things/:id'],
  ['HEAD', '/things/1', 200, '/things/:id'],
  ['GET', '/unchanged', 304, '/unchanged'],
  ['GET', '/broken', 500, '/broken'],
  ['GET', '/files/nope', 404, 'unknown'],
  ['GET', '/nope', 404, 'unknown'],
] as const)('%s %s is logged once and counted once: %i of %s', async (method, url, status, route) => {
  const { app, lines, metrics } = startApp('info');
  await app.inject({ method, url });
  const entries = lines.map((line) => JSON.parse(line));
  expect(entries).toEqual([expect.objectContaining({ msg: 'request', method, url, status })]);
  const { values } = await metrics.requestDuration.get();
  const counts = values.filter(({ metricName }) => metricName.endsWith('_count'));
  expect(counts.map(({ labels, value }) => [labels, value])).toEqual([[{ method, route, status }, 1]]);
});

test.each(['/nope', '/a"b', '/a\\b?q=%22', '/%0A', '/ä', '/?x=\u2028'])(
  'a request for %s is one line of JSON, with the fields that the logger itself would write',
  async (url) => {
    const [line, ...more] = await linesOf(url, 'info');
    expect(more).toEqual([]);
    expect(line?.indexOf('\n')).toBe((line?.length ?? 0) - 1);
    const { time, duration_ms, ...entry } = JSON.parse(line ?? '');
    expect(entry).toMatchObject({
      level: 30,
      request_id: 'mine',
      actor: 'anonymous',
      method: 'GET',
      status: 404,
    });
    expect([typeof entry.url, entry.msg]).toEqual(['string', 'request']);
    expect(Math.abs(time - Date.now())).toBeLessThan(60_000);
    expect(duration_ms).toBeGreaterThanOrEqual(0);
  },
);

test('at the level warn, requests leave no line', async () => {
  expect(await linesOf('/nope', 'warn')).toEqual([]);
});
