import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

/**
 * Well inside the 10 s that a stop may take, with up to 5 s of drain before it and the database after it. A request may
 * take 8 s and hardly ever takes 1 s; one that takes longer than this bound is answered with 503.
 */
const CLOSE_BOUND_MS = 3000;
/** For those answers to go out. */
const LAST_WORDS_MS = 250;
const IDLE_CHECK_MS = 50;

/** From now on, answers ask their clients to come back on another connection. */
export function startDraining(app: FastifyInstance): void {
  app.server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
}

/**
 * Closes the app. Fastify closes idle connections once; those that become idle later, or that a client has left half
 * open, would keep it waiting, so they are closed as they turn up. After a bound, requests that still wait are answered
 * with 503, and connections that are left then are cut off.
 */
export async function closeApp(app: FastifyInstance): Promise<void> {
  const idle = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_MS);
  const bound = new AbortController();
  const { signal } = bound;
  const cutOff = sleep(CLOSE_BOUND_MS, undefined, { signal })
    .then(() => app.refuseUnderWay())
    .then(() => sleep(LAST_WORDS_MS, undefined, { signal }))
    .then(() => app.server.closeAllConnections())
    .catch(() => undefined);
  try {
    await app.close();
  } finally {
    clearInterval(idle);
    bound.abort();
    await cutOff;
  }
}
