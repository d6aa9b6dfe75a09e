import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

import { AppError } from '../lib/errors.ts';
import { PROBLEM_TYPE, problemDocument } from './problem.ts';

/** What Node's HTTP parser refuses, by its code; everything else is a malformed request. */
const STATUSES: Record<string, [status: number, detail: string]> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request took too long to arrive'],
};

/** Requests that are too broken to reach Fastify are answered in the same form as every other. */
export function answerClientErrors(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] = STATUSES[error.code ?? ''] ?? [400, 'The request is not valid HTTP'];
  const requestId = randomUUID();
  const code = status === 408 ? 'request_timeout' : 'malformed_request';
  const document = { ...problemDocument(new AppError(code, detail), requestId), status };
  const body = JSON.stringify(document);
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
