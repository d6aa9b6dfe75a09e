import Fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import { type Level, pino } from 'pino';
import { expect, test } from 'vitest';

import { observeRequests } from '../../src/http/request-context.ts';
import { createMetrics } from '../../src/lib/metrics.ts';

/** The log lines of one request to an app that logs at a level. */
async function linesOf(url: string, level: Level): Promise<string[]> {
  const lines: string[] = [];
  const logger = pino({ level, base: null }, { write: (line: string) => lines.push(line) });
  const loggerInstance: FastifyBaseLogger = logger;
  const app = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => 'mine',
  });
  observeRequests(app, createMetrics(), logger);
  await app.inject({ method: 'GET', url });
  return lines;
}

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
