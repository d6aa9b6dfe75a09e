import type { FastifyReply } from 'fastify';

import { toEtag } from '../lib/versions.ts';
import { prefixOf } from './api-prefix.ts';

interface DoneOnce {
  status: 200 | 201 | 202;
  /** Where the new resource is, without the prefix, when the call has made one with a path of its own. */
  location?: string;
}

/** Sends the result of a command that takes an Idempotency-Key, with its version, and whether it is a stored answer. */
export function sendOnce(
  reply: FastifyReply,
  { result, replayed }: { result: { version: number }; replayed: boolean },
  { status, location }: DoneOnce,
): FastifyReply {
  if (replayed) reply.header('idempotency-replayed', 'true');
  if (location !== undefined) reply.header('location', `${prefixOf(reply.request)}${location}`);
  return reply.code(status).header('etag', toEtag(result.version)).send(result);
}

/** Sends a resource as a change has left it, with its version. */
export function sendChanged(reply: FastifyReply, resource: { version: number }): FastifyReply {
  return reply.header('etag', toEtag(resource.version)).send(resource);
}
