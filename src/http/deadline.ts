import type { FastifyBaseLogger, FastifyInstance, FastifyReply } from 'fastify';

import { AppError, unavailable } from '../lib/errors.ts';
import { reportFailure } from './problem.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Answers every request that is under way with 503, because nothing can be waited for any more. */
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
 * Answers 503 before a request has taken `deadlineMs`. What it was doing may still be done; an
 * Idempotency-Key tells. Call it after `observeRequests`, which notes when each request came.
 *
 * One timer looks after all requests. Fastify's own `handlerTimeout` gives each request a timer and an AbortController,
 * which cost a tenth of an order.
 */
export function limitDuration(app: FastifyInstance, deadlineMs: number): void {
  // Slots are used again and again. A Set would leave its outgrown tables behind, each pointing to the next and to the
  // requests of its time, and so would carry every request into the old generation.
  const underWay: (FastifyReply | undefined)[] = [];
  const freeSlots: number[] = [];
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
    done(null, payload);
  });
  const timer = setInterval(() => {
    const latest = performance.now() - (deadlineMs - CHECK_MS);
    for (const reply of underWay) {
      if (reply !== undefined && reply.startedAt <= latest) endWith(reply, tooLate(reply));
    }
  }, CHECK_MS);
  timer.unref();
  app.decorate('refuseUnderWay', () => {
    for (const reply of underWay) {
      if (reply !== undefined) endWith(reply, unavailable('The service is stopping, try again'));
    }
  });
  function endWith(reply: FastifyReply, error: AppError): void {
    release(reply);
    if (reply.sent) return;
    void reply.send(error);
    reply.log = lateLog(reply);
  }
  app.addHook('onClose', async () => clearInterval(timer));
}

/**
 * Fastify takes whatever comes after an answer for a mistake in the handler, and logs an error. Here it was to be
 * expected: a late success is no news, and a late failure is logged like any other.
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
