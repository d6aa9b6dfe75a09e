import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Page, PageQuery } from '../lib/page.ts';
import { prefixOf } from './api-prefix.ts';

/**
 * A page of 1,000 usual rows has 250 KB. Rows with the longest texts that are allowed would make 10 MB, which the
 * service would hold for every caller that is slow to read.
 */
const PAGE_LIMIT_BYTES = 1024 * 1024;

/** Reads the page that the query asks for, and sends it. The query's schema has `pageQuery`. */
export async function listPage<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  list: (page: PageQuery) => Promise<Page<T>>,
): Promise<FastifyReply> {
  const { limit, skip, sort, cursor } = request.query as PageQuery;
  return sendPage(request, reply, await list({ limit, skip, sort, cursor }));
}

/**
 * Sends a page as an array that ends early past 1 MB, with a Link to the rest.
 * @param parameter of the query that takes the cursor
 */
export function sendPage<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  page: Page<T>,
  parameter = 'cursor',
): FastifyReply {
  let { items, nextCursor } = page;
  let json = serialize(reply, items);
  while (Buffer.byteLength(json) > PAGE_LIMIT_BYTES && items.length > 1) {
    // Rows differ in size, so the share is a first guess; each further round takes at least one row off.
    const share = PAGE_LIMIT_BYTES / Buffer.byteLength(json);
    items = items.slice(0, Math.max(1, Math.floor(items.length * share * CAUTION)));
    const last = items.at(-1);
    if (last !== undefined) nextCursor = page.cursorAfter(last);
    json = serialize(reply, items);
  }
  if (nextCursor !== undefined) {
    reply.header('link', `<${linkTo(request, parameter, nextCursor)}>; rel="next"`);
  }
  return reply.type(JSON_TYPE).send(json);
}

const CAUTION = 0.95;
const JSON_TYPE = 'application/json; charset=utf-8';

function serialize(reply: FastifyReply, items: readonly unknown[]): string {
  // Fastify's types leave open what a serializer makes; the one of a response schema makes text.
  return reply.serialize(items) as string;
}

/**
 * The link is relative. Its path is the one of the route, with its prefix: what a caller wrote could name another host
 * (`//products`, `HTTP://elsewhere/products`). Filters and limit stay; skip goes, because the cursor is behind it.
 */
function linkTo(request: FastifyRequest, parameter: string, cursor: string): string {
  const params = request.params as Record<string, unknown>;
  const path = (request.routeOptions.url ?? '').replaceAll(/:(\w+)/g, (_text, name: string) =>
    encodeURIComponent(String(params[name])),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query as Record<string, unknown>)) {
    if (name !== 'skip' && name !== parameter) query.append(name, String(value));
  }
  query.set(parameter, cursor);
  return `${prefixOf(request)}${path}?${query.toString()}`;
}
