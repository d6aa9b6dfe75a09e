import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { FastifyInstance } from 'fastify';

import { AppError, type ProblemCode } from '../lib/errors.ts';
import type { TrafficMetrics } from '../lib/metrics.ts';
import { PROBLEM_TYPE, problemDocument } from './problem.ts';

/** What Node's HTTP parser refuses, by its code; everything else is a malformed request. */
const REFUSALS: Record<string, [code: ProblemCode, detail: string]> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The request took too long to arrive'],
};

/** For the answer to arrive, and for the other end to close. */
const LINGER_MS = 2000;

/** Answers what never becomes a request of Fastify's in the same form as all else: logged, counted, as a problem. */
export function answerClientErrors(metrics: TrafficMetrics) {
  const broken = new WeakSet<Duplex>();
  return function (this: FastifyInstance, error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
      socket.destroy();
      return;
    }
    // Behind a request that cannot be parsed, nothing on this connection can be.
    if (broken.has(socket)) return;
    broken.add(socket);
    const [code, detail] = REFUSALS[error.code ?? ''] ?? [
      'malformed_request',
      'The request is not valid HTTP',
    ];
    const refuse = () => {
      if (socket.writable) endWithProblem(this, metrics, socket, new AppError(code, detail));
    };
    // Requests that came before on this connection are answered before.
    const awaited = this.answerAwaitedOn(socket);
    if (awaited === undefined) refuse();
    else awaited.once('close', refuse);
  };
}

/** CONNECT asks for a proxy. Node would close the connection without a word. */
export function refuseTunnels(app: FastifyInstance, metrics: TrafficMetrics): void {
  app.server.on('connect', (_request, socket) => {
    endWithProblem(app, metrics, socket, new AppError('not_implemented', 'This service is no proxy'));
  });
}

function endWithProblem(
  app: FastifyInstance,
  metrics: TrafficMetrics,
  socket: Duplex,
  error: AppError,
): void {
  const { status, code } = error;
  const requestId = randomUUID();
  // A connection that was opened ahead and never used is no request.
  if (!(socket instanceof Socket && socket.bytesRead === 0)) {
    metrics.unreadableRequests.inc({ status });
    app.log.info({ request_id: requestId, status, code }, 'refused what is no readable request');
  }
  const body = JSON.stringify(problemDocument(error, requestId));
  // The other end may keep its half of the connection open for ever.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      `Content-Type: ${PROBLEM_TYPE}`,
      `X-Request-ID: ${requestId}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
