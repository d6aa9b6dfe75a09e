import type { FastifyInstance, FastifyReply } from 'fastify';

import { AppError, unavailable } from '../lib/errors.ts';

/** How late the answer may come, at the most: short beside the deadline itself. */
const CHECK_MS = 250;

/**
 * Answers 503 when a request has taken longer than `deadlineMs`. What it was doing may still be done; an
 * Idempotency-Key tells.
 *
 * One timer looks after all requests, oldest first. Fastify's own `handlerTimeout` gives each request a timer and an
 * AbortController, which cost a tenth of an order.
 */
export function limitDuration(app: FastifyInstance, deadlineMs: number): void {
  /** In the order of their arrival. */
  const underWay = new Set<FastifyReply>();
  app.addHook('onRequest', (_request, reply, done) => {
    underWay.add(reply);
    done();
  });
  app.addHook('onResponse', (_request, reply, done) => {
    underWay.delete(reply);
    done();
  });
  const timer = setInterval(() => {
    for (const reply of underWay) {
      if (reply.elapsedTime < deadlineMs) break;
      underWay.delete(reply);
      if (!reply.sent) void reply.send(tooLate(reply));
    }
  }, CHECK_MS);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));
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
