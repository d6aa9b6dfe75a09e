import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import type { FastifyInstance, FastifyRequest, onSendHookHandler } from 'fastify';

import type { Caller } from '../lib/caller.ts';
import type { HistogramSeries } from '../lib/histogram.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { RequestEntry } from './request-line.ts';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Takes over the caller's X-Request-ID when it is fit to be logged, or makes one: what is drawn once tells this process
 * from all others, and a number its requests from each other. A UUID for each took a microsecond.
 */
export function createRequestIds(): (request: Pick<IncomingMessage, 'headers'>) => string {
  const processId = randomBytes(9).toString('base64url');
  let made = 0;
  return (request) => {
    const given = request.headers['x-request-id'];
    if (typeof given === 'string' && REQUEST_ID.test(given)) return given;
    made += 1;
    return `${processId}-${made.toString(36)}`;
  };
}

/** Who is asking. While the service is open, everybody is `anonymous`. */
export function callerOf(request: FastifyRequest): Caller {
  return { actor: 'anonymous', requestId: request.id };
}

declare module 'fastify' {
  interface FastifyReply {
    /** When its request came, as `performance.now()` tells it. */
    startedAt: number;
  }
}

/** The name of all paths without a route. They must not become names of series: anybody can make them up. */
const UNKNOWN = 'unknown';

/** What a browser fetches to show the docs: a page of them would fill a terminal. Counted, but not logged. */
const STATIC_ROUTE = /^(?:\/api\/v1)?\/(?:docs\/static|redoc)\//;

/**
 * Names the request in its answer, and writes its one log line and its duration when the answer is sent.
 *
 * That it has been sent is not waited for: Fastify would listen to each response, which costs more than everything
 * here. A client that has left by then is marked in the line and counted.
 *
 * Each route has a hook of its own that knows its name, for a request that is asked for its route puts a whole
 * description of it together.
 */
export function observeRequests(
  app: FastifyInstance,
  metrics: Metrics,
  logRequest: (entry: RequestEntry) => void,
): void {
  const observerOf = (route: string): onSendHookHandler => {
    const durations = new Durations(metrics, route);
    const isLogged = !STATIC_ROUTE.test(route);
    return (request, reply, payload, done) => {
      // A plugin may find nothing at a path of its own: that is an unknown path, and only the last hook's.
      if (request.is404 && route !== UNKNOWN) return done(null, payload);
      const { method, url } = request;
      const status = reply.statusCode;
      const durationMs = performance.now() - reply.startedAt;
      durations.observe(method, status, durationMs);
      // Node marks a response so when its connection closes first.
      const aborted = reply.raw.destroyed;
      if (aborted) metrics.requestsAborted.inc({ route });
      if (isLogged) {
        const { actor } = callerOf(request);
        logRequest({ requestId: request.id, actor, method, url, status, durationMs, aborted });
      }
      return done(null, payload);
    };
  };
  app.decorateReply('startedAt', 0);
  app.addHook('onRequest', (request, reply, done) => {
    reply.startedAt = performance.now();
    reply.header('x-request-id', request.id);
    done();
  });
  app.addHook('onRoute', (route) => {
    route.onSend = [route.onSend ?? [], observerOf(route.url)].flat();
  });
  const observeUnknown = observerOf(UNKNOWN);
  app.addHook('onSend', function (request, reply, payload, done) {
    if (request.is404) observeUnknown.call(this, request, reply, payload, done);
    else done(null, payload);
  });
}

/** The durations of one route. Finding the series of some labels costs more than counting in it, so each is looked up once. */
class Durations {
  readonly #metrics: Metrics;
  readonly #route: string;
  /** As many as the route has methods and statuses; nothing in the keys comes from a caller. */
  readonly #series = new Map<string, HistogramSeries[]>();

  constructor(metrics: Metrics, route: string) {
    this.#metrics = metrics;
    this.#route = route;
  }

  observe(method: string, status: number, durationMs: number): void {
    let statuses = this.#series.get(method);
    if (statuses === undefined) this.#series.set(method, (statuses = []));
    let series = statuses[status];
    if (series === undefined) {
      series = this.#metrics.requestDuration.addSeries({ method, route: this.#route, status });
      statuses[status] = series;
    }
    series.observe(durationMs / 1000);
  }
}
