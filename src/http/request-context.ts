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
  const durations = new DurationsByRoute(metrics);
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url } = request;
    const { statusCode: status, elapsedTime: durationMs } = reply;
    durations.observe(method, request.routeOptions.url ?? 'unknown', status, durationMs);
    const duration_ms = Math.round(durationMs * 100) / 100;
    const { actor } = callerOf(request);
    request.log.info({ request_id: request.id, actor, method, url, status, duration_ms }, 'request');
    done();
  });
}

/** Finding the series of some labels costs more than counting in it, so each is looked up once. */
class DurationsByRoute {
  readonly #metrics: Metrics;
  /** As many as there are routes, methods and statuses; nothing in the keys comes from a caller. */
  readonly #series = new Map<string, { observe: (seconds: number) => void }>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  observe(method: string, route: string, status: number, durationMs: number): void {
    const name = `${method} ${route} ${status}`;
    let series = this.#series.get(name);
    if (series === undefined) {
      series = this.#metrics.requestDuration.labels({ method, route, status });
      this.#series.set(name, series);
    }
    series.observe(durationMs / 1000);
  }
}
