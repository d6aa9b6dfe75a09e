import { finished } from 'node:stream';

import type { FastifyBaseLogger, FastifyInstance, FastifyReply } from 'fastify';

import { AppError, unavailable } from '../lib/errors.ts';
import { isStream } from './answer-body.ts';
import { reportFailure } from './problem.ts';
import { DEADLINE_MS } from './route-config.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Answers every request that is under way with 503, and cuts off streams: the process is about to end. */
    refuseUnderWay(): void;
  }
}

/** How often the time of requests is looked at, and so how early one may be refused: short beside the deadline itself. */
const CHECK_MS = 250;

declare module 'fastify' {
  interface FastifyReply {
    /** Where `limitDuration` finds this reply while it is under way. */
    deadlineSlot: number;
  }
}

/**
 * Answers 503 before a request has taken its route's `config.deadlineMs`. Its work may still be done; a caller with an
 * Idempotency-Key finds out by sending it again. A stream that has begun cannot turn into a 503: its connection is closed,
 * so that its client sees that the end is missing. Call this after `observeRequests`, which notes when each request came.
 *
 * One timer serves all requests. Fastify's own `handlerTimeout` gives each request a timer and an AbortController,
 * which cost a tenth of an order.
 */
export function limitDuration(app: FastifyInstance): void {
  // Slots are used again and again. A Set would leave its outgrown tables behind, each pointing to the next and to the
  // requests of its time, and so would carry every request into the old generation.
  const underWay: (FastifyReply | undefined)[] = [];
  const freeSlots: number[] = [];
  const streams = new Set<FastifyReply>();
  app.decorateReply('deadlineSlot', -1);
  app.addHook('onRequest', (_request, reply, done) => {
    reply.deadlineSlot = freeSlots.pop() ?? underWay.length;
    underWay[reply.deadlineSlot] = reply;
    done();
  });
  const release = (reply: FastifyReply) => {
    if (underWay[reply.deadlineSlot] !== reply) return;
    underWay[reply.deadlineSlot] = undefined;
    freeSlots.push(reply.deadlineSlot);
  };
  app.addHook('onSend', (_request, reply, payload, done) => {
    release(reply);
    if (isStream(payload)) {
      streams.add(reply);
      finished(reply.raw, () => streams.delete(reply));
    }
    done(null, payload);
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const reply of underWay) {
      if (reply !== undefined && isOverdue(reply, now)) endWith(reply, tooLate(reply));
    }
    for (const reply of streams) if (isOverdue(reply, now)) reply.raw.destroy();
  }, CHECK_MS);
  timer.unref();
  app.decorate('refuseUnderWay', () => {
    for (const reply of underWay) {
      if (reply !== undefined) endWith(reply, unavailable('The service is stopping, try again'));
    }
    for (const reply of streams) reply.raw.destroy();
  });
  function endWith(reply: FastifyReply, error: AppError): void {
    release(reply);
    if (reply.sent) return;
    void reply.send(error);
    reply.log = lateLog(reply);
  }
  app.addHook('onClose', async () => clearInterval(timer));
}

function isOverdue(reply: FastifyReply, now: number): boolean {
  const ageMs = now - reply.startedAt + CHECK_MS;
  // No route has less time than this, and Fastify puts a route's options together each time that they are read.
  if (ageMs < DEADLINE_MS) return false;
  return ageMs >= (reply.routeOptions.config.deadlineMs ?? DEADLINE_MS);
}

/**
 * Fastify takes an answer after an answer for a mistake in the handler, and logs an error. After a deadline it is
 * expected: a late success is no news, and a late failure is logged like any other. Fastify has no documented way to end a
 * request whose handler still runs: `reply.hijack()` must come before `reply.send()` and skips every hook, and its
 * `LogController` does not see these two lines. So this reply gets a log of its own.
 */
function lateLog({ request, log }: FastifyReply): FastifyBaseLogger {
  return Object.assign(Object.create(log) as FastifyBaseLogger, {
    error: ({ err }: { err: unknown }) => void reportFailure(err, request),
    warn: () => undefined,
  });
}

function tooLate({ request }: FastifyReply): AppError {
  // Injected requests, which have no connection, do not say; their body is there from the start.
  const { complete = true } = request.raw as { complete?: boolean };
  if (complete) return unavailable('The request took too long, try again');
  // The time starts before the body has arrived. That it never did is its sender's doing, and the connection must go:
  // what is left of the body would be read as the next request.
  const headers = { connection: 'close' };
  return new AppError('request_timeout', 'The request took too long to arrive', { headers });
}
