import type { IncomingMessage } from 'node:http';

import type { FastifyInstance, preParsingHookHandler } from 'fastify';

import { AppError } from '../lib/errors.ts';

/**
 * Headers that have one value. Node keeps the first of some and joins others with commas, and a gateway in front may
 * read the last: the two would judge different requests. Lists, such as If-Match and X-Forwarded-For, may be repeated.
 */
const SINGLE_HEADERS = new Set([
  'authorization',
  'content-length',
  'content-type',
  'expect',
  'host',
  'idempotency-key',
  'origin',
  'sec-fetch-site',
  'stripe-signature',
  'webhook-id',
  'webhook-signature',
  'webhook-timestamp',
  'x-api-key',
  'x-event-id',
  'x-webhook-signature',
]);

/** A name or an address, and perhaps a port (RFC 9110, 7.2); empty where the target has no host. */
const HOST = /^(?:\[[\da-f:.]+\]|[^\s/?#@:[\],\\]*)(?::\d{0,5})?$/i;

/** What is wrong with the head of a request, if anything is. */
export type HeadCheck = (request: IncomingMessage) => AppError | undefined;

/** Refuses a request that a check finds wrong, before anything is made of it. One hook for all: each costs every call. */
export function checkHeads(app: FastifyInstance, checks: readonly HeadCheck[]): void {
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    for (const check of checks) {
      const refusal = check(raw);
      if (refusal !== undefined) return done(refusal);
    }
    return done();
  });
  askForBodies(app);
}

/** The client is asked for its body once the head has passed every check. */
function askForBodies(app: FastifyInstance): void {
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.server.on('checkContinue', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRoute', (route) => {
    if ([route.method].flat().every((method) => method === 'GET' || method === 'HEAD')) return;
    const limitBytes = route.bodyLimit ?? app.initialConfig.bodyLimit ?? 0;
    route.preParsing = [route.preParsing ?? [], askForBody(limitBytes)].flat();
  });
}

/** A body that is announced as too large is not asked for: its refusal follows at once. */
function askForBody(limitBytes: number): preParsingHookHandler {
  return ({ headers, raw }, reply, payload, done) => {
    const isAwaited = headers.expect !== undefined && raw.httpVersion === '1.1';
    if (isAwaited && !(Number(headers['content-length']) > limitBytes)) reply.raw.writeContinue();
    done(null, payload);
  };
}

/**
 * Finds repeated headers, a Host that is missing or is no host, transfer codings and expectations that this service does
 * not know. Node would answer some of it by itself, with an empty body and no line in the log.
 */
export function createFramingCheck(): HeadCheck {
  const isHost = createHostCheck();
  return (request) => refusalOf(request, isHost);
}

function refusalOf(
  { headers, rawHeaders, httpVersion }: IncomingMessage,
  isHost: (text: string) => boolean,
): AppError | undefined {
  // Two entries a line: fewer names than lines means that some name came more than once.
  if (Object.keys(headers).length * 2 < rawHeaders.length) {
    const repeated = repeatedHeader(rawHeaders);
    if (repeated !== undefined) return malformed(`The header ${repeated} must not be repeated`);
  }
  const { host, expect, 'transfer-encoding': coding } = headers;
  if (host === undefined) {
    if (httpVersion === '1.1') return malformed('A request of HTTP/1.1 must have a Host header');
  } else if (!isHost(host)) return malformed('The header Host must be one name and perhaps a port');
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    const detail = 'The only transfer coding that this service reads is chunked';
    return new AppError('not_implemented', detail, CLOSE);
  }
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    const detail = 'The only expectation that this service meets is 100-continue';
    return new AppError('expectation_failed', detail, CLOSE);
  }
  return undefined;
}

/** Where one request ends and the next begins is in doubt, so no other follows on the connection. */
const CLOSE = { headers: { connection: 'close' } };

function malformed(detail: string): AppError {
  return new AppError('malformed_request', detail, CLOSE);
}

/** The name of a header that must not be repeated and is. */
function repeatedHeader(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase() ?? '';
    if (seen.has(name) && SINGLE_HEADERS.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

function createHostCheck(): (text: string) => boolean {
  // Nearly every request names the same host.
  let lastValid: string | undefined;
  return (text) => {
    if (text === lastValid) return true;
    if (!HOST.test(text)) return false;
    lastValid = text;
    return true;
  };
}
