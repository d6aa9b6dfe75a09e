import type { FastifyInstance, FastifyRequest } from 'fastify';

import { AppError, FAULTS_MAX, type InputFault, validationFailed } from '../lib/errors.ts';
import { findRepeatedName, findRoundedNumbers, surveyJson } from '../lib/json-text.ts';
import { shorten } from '../lib/shorten.ts';

const LIMITS = {
  /** Deeper than any body of ours; it keeps recursive code, here or downstream, from being driven to its stack's end. */
  depth: 32,
  /** The largest order has 300. Each may be a fault, and 87,000 of them stopped the event loop for 3 s. */
  members: 5000,
};

/** fatal: bytes that are not UTF-8 are refused, not replaced. ignoreBOM keeps a BOM, which JSON does not allow. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface JsonBody {
  value: unknown;
  /** JSON pointers to numbers that the parser has rounded. */
  rounded: readonly string[];
}

/**
 * Parses a body strictly.
 * @throws AppError malformed_request for bytes that are not UTF-8, text that is not JSON, `__proto__`, a member that is
 *   named twice, too much depth and too many members
 */
export function readJson(body: Buffer): JsonBody {
  if (body.length === 0) throw malformed('The body is empty; send JSON');
  const survey = surveyJson(body, LIMITS);
  if (survey === 'depth') throw malformed(`The body is nested deeper than ${LIMITS.depth} levels`);
  if (survey === 'members') throw malformed(`The body has more than ${LIMITS.members} members`);
  const text = decode(body);
  const value = parse(text);
  // JSON.parse keeps the last of two members of one name.
  if (countNames(value) !== survey.names) {
    throw malformed(
      `The body names the member ${JSON.stringify(shorten(findRepeatedName(text) ?? ''))} twice`,
    );
  }
  return { value, rounded: survey.isRounded ? findRoundedNumbers(text, FAULTS_MAX) : [] };
}

/**
 * As `readJson`, for bodies of which every member is known.
 * @throws AppError validation_failed also for a number that the parser has rounded
 */
export function parseJsonBody(body: Buffer): unknown {
  const { value, rounded } = readJson(body);
  if (rounded.length > 0) throw validationFailed(rounded.map(roundedNumber));
  return value;
}

/** The fault of a number at a JSON pointer. */
export function roundedNumber(pointer: string): InputFault {
  return {
    path: `body${pointer}`,
    message: 'has more digits than a JSON number keeps',
    fix: 'Send at most 15 significant digits; an amount may be a decimal string such as "29.99".',
  };
}

function decode(body: Buffer): string {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch (error) {
    throw malformed('The body is not valid UTF-8', error);
  }
  // RFC 8259, 8.1: JSON between systems has none.
  if (text.startsWith('\ufeff')) throw malformed('The body starts with a byte order mark');
  return text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed('The body is not valid JSON', error);
  }
}

/** The members of all objects in a parsed value, which is no deeper than the limit. */
function countNames(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const element of value) count += countNames(element);
    return count;
  }
  // JSON.parse makes plain objects, which inherit nothing that this finds; Object.keys would make a list of each.
  for (const name in value) {
    // Code downstream that copies members one by one would set a prototype.
    if (name === '__proto__') throw malformed('The body holds a member __proto__');
    const member = (value as Record<string, unknown>)[name];
    count += typeof member === 'object' ? 1 + countNames(member) : 1;
  }
  return count;
}

function malformed(detail: string, cause?: unknown): AppError {
  return new AppError('malformed_request', detail, { cause });
}

/** Refuses what no parser of ours reads: a compressed body would be verified, logged and limited as something else. */
export function refusalOfEncoding({ headers }: FastifyRequest): AppError | undefined {
  if (headers['content-encoding'] === undefined) return undefined;
  return new AppError('unsupported_media_type', 'Send the body as it is, without a Content-Encoding');
}

/** Replaces Fastify's own parsers: JSON only, strictly, and only where a call takes a body. */
export function useStrictJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const refusal = refusalOfEncoding(request);
    if (refusal !== undefined) return done(refusal);
    if (!takesBody(request)) {
      // Clients that always name a content type do so also where there is no body to send.
      return body.length === 0 ? done(null, undefined) : done(takesNoBody());
    }
    try {
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
  refuseUnusedBodies(app);
}

/** Whether the call that a request makes has a body at all. */
export function takesBody(request: FastifyRequest): boolean {
  return request.routeOptions.schema?.body !== undefined;
}

/** A body that is dropped unseen may hold what its sender takes for a condition. */
export function takesNoBody(): AppError {
  return malformed('This call takes no body');
}

/**
 * Fastify reads no body of a GET, and one of any other method only to drop it. One that comes in chunks may turn out to
 * be empty; where there is a parser, that is for the parser to see.
 */
function refuseUnusedBodies(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.schema?.body !== undefined) return;
    route.onRequest = [
      ...[route.onRequest ?? []].flat(),
      ({ method, headers }, _reply, done) => {
        const isUnread = method === 'GET' || method === 'HEAD';
        const hasBody = Number(headers['content-length'] ?? 0) > 0;
        if (hasBody || (isUnread && headers['transfer-encoding'] !== undefined)) return done(takesNoBody());
        return done();
      },
    ];
  });
}
