import type { FastifyInstance } from 'fastify';

/**
 * A 304 to HEAD has the length that 200 would have, or none (RFC 9110, 8.6). Fastify gives it the length of the body
 * that is not sent, which is 0. Call it before the first route.
 */
export function correctHeadAnswers(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.method !== 'HEAD') return;
    route.onSend = [
      ...[route.onSend ?? []].flat(),
      (_request, reply, payload, done) => {
        if (reply.statusCode === 304) reply.removeHeader('content-length');
        done(null, payload);
      },
    ];
  });
}
