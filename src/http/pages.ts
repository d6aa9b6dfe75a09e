import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Page } from '../lib/page.ts';

/**
 * Sends a page as an array, with a Link to the next one. The link is relative and repeats the path as it was called
 * (with its prefix), the filters and the limit; skip is left out, because the cursor already stands behind it.
 */
export function sendPage<T>(request: FastifyRequest, reply: FastifyReply, page: Page<T>): FastifyReply {
  if (page.nextCursor !== undefined) {
    // A request may name its target with scheme and host (RFC 9112, 3.2.2).
    const [path = '', search] = request.url.replace(/^https?:\/\/[^/?]*/, '').split('?');
    const query = new URLSearchParams(search);
    query.delete('skip');
    query.set('cursor', page.nextCursor);
    reply.header('link', `<${path}?${query.toString()}>; rel="next"`);
  }
  return reply.send(page.items);
}
