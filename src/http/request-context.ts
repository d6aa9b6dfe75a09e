import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import type { FastifyInstance, FastifyRequest } from 'fastify';

import type { Caller } from '../lib/caller.ts';
import type { Metrics } from '../lib/metrics.ts';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Takes over the caller's X-Request-ID when it is fit to be logged, or makes one. */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Who is asking. While the service is open, everybody is `anonymous`. */
export function callerOf(request: FastifyRequest): Caller {
  return { actor: 'anonymous', requestId: request.id };
}

/** Names the request in its answer, and when it is done writes its one log line and its duration. */
export function observeRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    const { method } = request;
    const { statusCode: status, elapsedTime } = reply;
    metrics.requestDuration.observe({ method, route, status }, elapsedTime / 1000);
    request.log.info(
      { method, url: request.url, status, duration_ms: Math.round(elapsedTime * 100) / 100 },
      'request',
    );
  });
}
