import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream';

import type { FastifyInstance, FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify';

import type { RequestContext } from '../idempotency/context.ts';
import { fingerprintOf } from '../idempotency/fingerprint.ts';
import type { IdempotencyKey } from '../idempotency/key.ts';
import type { Caller } from '../lib/caller.ts';
import type { HistogramSeries } from '../lib/histogram.ts';
import type { TrafficMetrics } from '../lib/metrics.ts';
import { isStream } from './answer-body.ts';
import { ifMatchOf } from './preconditions.ts';
import type { RequestEntry } from './request-line.ts';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Takes over the caller's X-Request-ID when it is fit to be logged, or makes one: a random part that is drawn once for this
 * process, and a number for each request. A UUID for each request took a microsecond.
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

/** The caller of a request. While the service is open, every caller is `anonymous`. */
export function callerOf(request: FastifyRequest): Caller {
  return { actor: 'anonymous', requestId: request.id };
}

interface TakenHeaders {
  /** The call takes an Idempotency-Key, which stands for this command at this route. */
  key?: { route: string; command: unknown };
  /** The call takes If-Match. */
  ifMatch?: boolean;
}

/**
 * What a service needs to know of a request beside its command. A call names the headers that it takes; all others are
 * ignored.
 * @throws AppError validation_failed when If-Match is not a list of entity tags
 */
export function contextOf(
  request: FastifyRequest,
  { key, ifMatch = false }: TakenHeaders = {},
): RequestContext {
  return {
    caller: callerOf(request),
    key: key && keyOf(request, key.route, key.command),
    ifMatch: ifMatch ? ifMatchOf(request.headers) : undefined,
  };
}

function keyOf({ headers }: FastifyRequest, route: string, command: unknown): IdempotencyKey | undefined {
  const key = headers['idempotency-key'];
  // The schema of a call that takes keys lets only one pass, as text.
  if (typeof key !== 'string') return undefined;
  // All callers share one scope while the service is open.
  return { scope: '', key, fingerprint: fingerprintOf('POST', route, command) };
}

declare module 'fastify' {
  interface FastifyReply {
    /** When its request came, by `performance.now()`. */
    startedAt: number;
  }
}

/** The name of all paths without a route. They must not become names of series, because any caller can make up more of them. */
const UNKNOWN = 'unknown';

/** What a browser fetches to show the docs: a page of them would fill a terminal. Counted, but not logged. */
const STATIC_ROUTE = /^(?:\/api\/v1)?\/(?:docs\/static|redoc)\//;

/**
 * Writes the request's id into its answer, and its one log line and its duration when the answer is sent.
 *
 * An answer in one piece is observed when it is handed to Node: to listen for the end of each response costs more than
 * everything here. An answer that is a stream is observed at its end. A client that has left by then is marked in the line
 * and counted.
 *
 * Each route has a hook of its own that knows the route's path, because Fastify puts a whole description of the route
 * together for each request that is asked for it.
 */
export function observeRequests(
  app: FastifyInstance,
  metrics: TrafficMetrics,
  logRequest: (entry: RequestEntry) => void,
): void {
  const observerOf = (route: string): onSendHookHandler => {
    const durations = new Durations(metrics, route);
    const isLogged = !STATIC_ROUTE.test(route);
    const observe = (request: FastifyRequest, reply: FastifyReply, aborted: boolean) => {
      const { method, originalUrl: url } = request;
      const status = reply.statusCode;
      const durationMs = performance.now() - reply.startedAt;
      durations.observe(method, status, durationMs);
      if (aborted) metrics.requestsAborted.inc({ route });
      if (!isLogged) return;
      const { actor } = callerOf(request);
      logRequest({ requestId: request.id, actor, method, url, status, durationMs, aborted });
    };
    return (request, reply, payload, done) => {
      // A plugin may find nothing at a path of its own: that is an unknown path, and only the last hook's.
      if (request.is404 && route !== UNKNOWN) return done(null, payload);
      if (isStream(payload)) {
        finished(reply.raw, (error) => observe(request, reply, error != null));
      } else {
        // Node marks a response as destroyed when its connection closes first.
        observe(request, reply, reply.raw.destroyed);
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
  readonly #metrics: TrafficMetrics;
  readonly #route: string;
  /** As many as the route has methods and statuses; nothing in the keys comes from a caller. */
  readonly #series = new Map<string, HistogramSeries[]>();

  constructor(metrics: TrafficMetrics, route: string) {
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
