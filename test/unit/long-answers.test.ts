import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';

import Fastify, { type FastifyReply, LogController } from 'fastify';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';

import { limitDuration } from '../../src/http/deadline.ts';
import { renderErrors } from '../../src/http/problem.ts';
import { observeRequests } from '../../src/http/request-context.ts';
import type { RequestEntry } from '../../src/http/request-line.ts';
import { DEADLINE_MS, routeConfig } from '../../src/http/route-config.ts';
import { createMetrics } from '../../src/metrics.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** An app with a stream that the test feeds; the stream's request is as old as the test says. */
async function startApp(ageMs: number) {
  const entries: RequestEntry[] = [];
  const streams: PassThrough[] = [];
  const app = Fastify({
    childLoggerFactory: () => pino({ level: 'silent' }),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => 'mine',
    forceCloseConnections: true,
  });
  renderErrors(app);
  observeRequests(app, createMetrics(), (entry) => entries.push(entry));
  limitDuration(app);
  const begin = async (_request: unknown, reply: FastifyReply) => {
    reply.startedAt -= ageMs;
    const stream = new PassThrough();
    streams.push(stream);
    stream.write('first\n');
    return reply.type('text/plain').send(stream);
  };
  app.get('/short', { config: routeConfig('reader', 'scan') }, begin);
  app.get('/long', { config: routeConfig('reader', 'scan', 60_000) }, begin);
  app.get('/silent/:kind', { config: routeConfig('reader', 'scan', 60_000) }, async (_request, reply) => {
    reply.startedAt -= ageMs;
    return new Promise(() => undefined);
  });
  await app.listen();
  closing.push(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  return { app, entries, streams, url: `http://localhost:${port}` };
}

test('a stream is logged when it ends, and not when it begins', async () => {
  const { entries, streams, url } = await startApp(0);
  const answer = await fetch(`${url}/long`);
  expect(entries).toEqual([]);
  streams[0]?.end('last\n');
  expect(await answer.text()).toBe('first\nlast\n');
  await expect.poll(() => entries).toEqual([expect.objectContaining({ status: 200, aborted: false })]);
});

test('a stream whose client leaves is logged as aborted', async () => {
  const { entries, url } = await startApp(0);
  const leaving = new AbortController();
  await fetch(`${url}/long`, { signal: leaving.signal });
  leaving.abort();
  await expect.poll(() => entries).toEqual([expect.objectContaining({ status: 200, aborted: true })]);
});

test('a stream of a route with the usual deadline is cut off at it; one with a longer deadline goes on', async () => {
  const { entries, streams, url } = await startApp(DEADLINE_MS);
  const long = await fetch(`${url}/long`);
  const short = await fetch(`${url}/short`);
  await expect(short.text()).rejects.toThrow('terminated');
  await expect.poll(() => entries).toEqual([expect.objectContaining({ url: '/short', aborted: true })]);
  streams[0]?.end('last\n');
  expect(await long.text()).toBe('first\nlast\n');
});

test('a route that answers nothing gets 503 at its own deadline', async () => {
  const { url } = await startApp(60_000);
  const answer = await fetch(`${url}/silent/a`);
  expect(answer.status).toBe(503);
});

test('streams are cut off when the service must stop', async () => {
  const { app, url } = await startApp(0);
  const answer = await fetch(`${url}/long`);
  app.refuseUnderWay();
  await expect(answer.text()).rejects.toThrow('terminated');
});

test('a deadline below the usual one is refused, because the timer would not see it', () => {
  expect(() => routeConfig('reader', 'point', DEADLINE_MS - 1)).toThrow('a deadline must be');
});
