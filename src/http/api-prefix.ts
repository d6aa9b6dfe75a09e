import type { FastifyRequest } from 'fastify';

/*
 * The same API answers without a prefix and under `/api/v1`. The router knows the paths without it: a second copy of every
 * route made the start a quarter longer and took 14 MB, and calls were no faster.
 */
const PREFIX = '/api/v1';

/** The prefix in any spelling that a router takes for it: doubled slashes, escapes, behind a host (an absolute target). */
const PREFIXED = new RegExp(
  `^([a-zA-Z]+://[^/?]*)?${PREFIX.replaceAll('/', '/+').replaceAll(/\w/g, spellings)}(?=[/?]|$)`,
);

function spellings(letter: string): string {
  return `(?:${letter}|%${letter.charCodeAt(0).toString(16)})`;
}

/** Fastify's `rewriteUrl`: the target without the prefix. */
export function withoutPrefix({ url = '/' }: { url?: string | undefined }): string {
  const found = PREFIXED.exec(url);
  if (found === null) return url;
  const [matched, host = ''] = found;
  const path = url.slice(matched.length);
  return `${host}${path.startsWith('/') ? path : `/${path}`}`;
}

/** What a path in an answer starts with, so that the caller stays under the prefix that it has used. */
export function prefixOf({ originalUrl }: FastifyRequest): string {
  return PREFIXED.test(originalUrl) ? PREFIX : '';
}
