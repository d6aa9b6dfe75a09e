import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { toAppError } from '../db/pg-errors.ts';
import { AppError, problems, validationFailed } from '../lib/errors.ts';
import { shorten } from '../lib/shorten.ts';
import { takesBody, takesNoBody } from './json-body.ts';
import { toInputFaults } from './input-faults.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** RFC 9457. Nothing in it comes from an unknown error: its text could hold SQL, a path or a secret. */
export function problemDocument(error: AppError, requestId: string): Record<string, unknown> {
  return {
    type: `/problems/${error.code}`,
    title: problems[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    request_id: requestId,
    ...error.fields,
  };
}

/** The one place where errors become answers, and where unknown ones are logged, once. */
export function renderErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => sendProblem(error, request, reply));
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = reportFailure(error, request);
  return (
    reply
      .code(known.status)
      .headers(known.headers)
      // Refusals of Fastify's router come before any hook.
      .header('x-request-id', request.id)
      .type(PROBLEM_TYPE)
      .send(JSON.stringify(problemDocument(known, request.id)))
  );
}

/** Logs failures of the service. @returns the error that the caller may see */
export function reportFailure(error: unknown, request: FastifyRequest): AppError {
  const known = toKnownError(error, request);
  // 501 answers a request for something that HTTP does not require; it is no failure.
  if (known.status >= 500 && known.status !== 501) {
    const line = { request_id: request.id, err: known.cause ?? error };
    request.log[known.status === 503 ? 'warn' : 'error'](line, known.message);
  }
  return known;
}

/** Turns any error into the one that the caller sees. */
export function toKnownError(error: unknown, request: FastifyRequest): AppError {
  if (error instanceof AppError) return error;
  return (
    fromFastify(error as Partial<FastifyError>, request) ??
    toAppError(error) ??
    new AppError('internal_error', 'Something went wrong on our side', { cause: error })
  );
}

function fromFastify(error: Partial<FastifyError>, request: FastifyRequest): AppError | undefined {
  if (error.validation !== undefined) {
    if (error.validationContext === 'body' && request.body === undefined) {
      return new AppError('malformed_request', 'The body is empty; send JSON');
    }
    return validationFailed(toInputFaults(error.validation, error.validationContext));
  }
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': {
      if (!takesBody(request)) return takesNoBody();
      const given = shorten(request.headers['content-type'] ?? 'nothing');
      const detail = `Send JSON with the header Content-Type: application/json, not ${given}`;
      return new AppError('unsupported_media_type', detail);
    }
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('payload_too_large', 'The body is larger than this call takes');
    case 'FST_ERR_BAD_URL':
      return new AppError('malformed_request', 'The path is not a valid URL');
    case undefined:
    default:
      // Fastify's other refusals of malformed requests; what is below 500 is the caller's.
      if (error.code?.startsWith('FST_ERR_') && error.statusCode !== undefined && error.statusCode < 500) {
        return new AppError('malformed_request', 'The request is malformed');
      }
      return fromStatus(error.statusCode);
  }
}

/** Refusals of other libraries, such as the one that serves the files of the documentation. */
function fromStatus(status: number | undefined): AppError | undefined {
  if (status === 403 || status === 404) return new AppError('not_found', 'There is nothing here');
  if (status !== undefined && status >= 400 && status < 500) {
    return new AppError('malformed_request', 'The request is malformed');
  }
  return undefined;
}
