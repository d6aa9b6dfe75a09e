import type { FastifyInstance, FastifyRequest } from 'fastify';
import sjson from 'secure-json-parse';

import { AppError, validationFailed } from '../lib/errors.ts';

/** Deeper than any body of ours; it keeps recursive code, here or downstream, from being driven to its stack's end. */
const MAX_DEPTH = 32;

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const CLOSE_OBJECT = 0x7d;
const CLOSE_ARRAY = 0x5d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** fatal: bytes that are not UTF-8 are refused, not replaced. ignoreBOM keeps a BOM, which JSON does not allow. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses a body strictly.
 * @throws AppError malformed_request for bytes that are not UTF-8, text that is not JSON, `__proto__` and too much depth
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) throw malformed('The body is empty; send JSON');
  requireDepth(body);
  let text: string;
  try {
    text = utf8.decode(body);
  } catch (error) {
    throw malformed('The body is not valid UTF-8', error);
  }
  // secure-json-parse would skip it; JSON between systems has none (RFC 8259, 8.1).
  if (text.startsWith('\ufeff')) throw malformed('The body starts with a byte order mark');
  try {
    return sjson.parse(text, { protoAction: 'error', constructorAction: 'ignore' });
  } catch (error) {
    const forbidden = error instanceof SyntaxError && error.message.includes('forbidden prototype');
    throw malformed(forbidden ? 'The body holds a member __proto__' : 'The body is not valid JSON', error);
  }
}

function malformed(detail: string, cause?: unknown): AppError {
  return new AppError('malformed_request', detail, { cause });
}

/** Counts brackets outside of strings. All of them are ASCII, so bytes will do. */
function requireDepth(body: Buffer): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i];
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      depth++;
      if (depth > MAX_DEPTH) throw malformed(`The body is nested deeper than ${MAX_DEPTH} levels`);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
  }
}

/** More digits in a row than a double holds; most bodies have none, and are not looked at twice. */
const LONG_NUMBER = /[\d.]{18,}/;
const STRINGS = /"(?:[^"\\]|\\.)*"/g;

/**
 * A number of more digits than a double holds would be rounded by the parser before anybody can refuse it. Not for
 * webhooks: what else providers send is their business.
 * @throws AppError validation_failed
 */
function requireExactNumbers(body: Buffer): void {
  const text = body.toString('latin1');
  if (!LONG_NUMBER.test(text) || !LONG_NUMBER.test(text.replaceAll(STRINGS, '""'))) return;
  throw validationFailed([{ path: 'body', message: 'holds a number of more digits than can be kept' }]);
}

/** Refuses what no parser of ours reads: a compressed body would be verified, logged and limited as something else. */
export function refusalOfEncoding({ headers }: FastifyRequest): AppError | undefined {
  if (headers['content-encoding'] === undefined) return undefined;
  return new AppError('unsupported_media_type', 'Send the body as it is, without a Content-Encoding');
}

/** Replaces Fastify's own parsers: JSON only, and strictly. */
export function useStrictJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const refusal = refusalOfEncoding(request);
    if (refusal !== undefined) return done(refusal);
    // Clients that always name a content type do so also where there is no body to send.
    if (body.length === 0 && request.routeOptions.schema?.body === undefined) return done(null, undefined);
    try {
      const parsed = parseJsonBody(body as Buffer);
      requireExactNumbers(body as Buffer);
      done(null, parsed);
    } catch (error) {
      done(error as Error, undefined);
    }
  });
}
