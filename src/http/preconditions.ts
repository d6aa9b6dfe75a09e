import type { FastifyReply } from 'fastify';

import { validationFailed } from '../lib/errors.ts';
import type { ReadyAnswer } from '../lib/ready-answer.ts';
import { matchesVersion, parseVersionMatch, toEtag, type VersionMatch } from '../lib/versions.ts';

/** @throws AppError validation_failed when the header is there and is not a list of entity tags */
export function ifMatchOf(headers: { 'if-match'?: string | undefined }): VersionMatch | undefined {
  return read('if-match', headers['if-match'], 'strong');
}

function read(name: string, header: string | undefined, comparison: 'strong' | 'weak') {
  if (header === undefined) return undefined;
  const match = parseVersionMatch(header, comparison);
  if (match !== undefined) return match;
  throw validationFailed([
    {
      path: `header/${name}`,
      message: 'must be entity tags such as "3", or *',
      fix: 'Send the ETag of an answer as it came, with its quotes.',
    },
  ]);
}

/** Sends one resource, as it was written down, with its ETag; or 304 when the caller has this version already. */
export function sendVersioned(
  reply: FastifyReply,
  headers: { 'if-none-match'?: string },
  { version, json }: ReadyAnswer,
): FastifyReply {
  const known = read('if-none-match', headers['if-none-match'], 'weak');
  reply.header('etag', toEtag(version));
  if (known !== undefined && matchesVersion(known, version)) return reply.code(304).send();
  return reply.header('content-type', JSON_TYPE).send(json);
}

const JSON_TYPE = 'application/json; charset=utf-8';
