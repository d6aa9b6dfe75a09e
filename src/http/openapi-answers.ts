import { STATUS_CODES } from 'node:http';

import { type OpenApiDocument, type Operation, operationsOf } from './openapi-document.ts';
import { generalResponse } from './problem.schemas.ts';

/*
 * Headers that follow from what a call takes (a version, a key), and what a status means in words. Other headers stand
 * with the answer in the route's schema (answers.ts).
 */
const text = (description: string, example: string) => ({ description, schema: { type: 'string' }, example });

const requestId = { 'X-Request-ID': text('The id of the request, taken over or made', 'BTBf4LRhayFa-2') };
const etag = (example: string) => ({ ETag: text('The version of the resource', example) });
const replayed = {
  'Idempotency-Replayed': text('true when this is the stored answer of an earlier call', 'true'),
};
const retryAfter = { 'Retry-After': text('Seconds to wait before trying again', '1') };

export function describeAnswers(document: OpenApiDocument): void {
  for (const [, operation] of operationsOf(document)) describeOperation(operation);
  shareRefusals(document);
}

/** One answer for what any call can be refused with: repeated in each call, it would be half of the document. */
function shareRefusals(document: OpenApiDocument): void {
  const refusal = { ...generalResponse(), headers: requestId };
  (document.components ??= {}).responses = { GeneralRefusal: refusal };
  for (const [, operation] of operationsOf(document)) {
    operation.responses = {
      ...operation.responses,
      default: { $ref: '#/components/responses/GeneralRefusal' },
    };
  }
}

function describeOperation(operation: Operation): void {
  const { parameters = [] } = operation;
  const responses = (operation.responses ??= {});
  const takes = (...names: string[]) => parameters.some(({ name = '' }) => names.includes(name));
  if (takes('if-none-match')) {
    responses['304'] = { description: 'The caller has this version already; there is no body' };
  }
  // A call that takes a version also answers with it.
  const isVersioned = takes('if-match', 'if-none-match');
  const isRepeatable = takes('idempotency-key');
  const done = '201' in responses ? '201' : '200';
  for (const [status, answer] of Object.entries(responses)) {
    if (answer.description === 'Default Response') answer.description = STATUS_CODES[status] ?? '';
    const showsVersion = status === '201' || (isVersioned && ['200', '304', '412'].includes(status));
    answer.headers = {
      ...requestId,
      ...answer.headers,
      ...(showsVersion ? etag(status === '201' ? '"1"' : '"3"') : {}),
      ...(status === '303' ? { Location: text('Where the page is, relative', './docs/') } : {}),
      ...(status === done && isRepeatable ? replayed : {}),
      ...(status === '503' || (status === '409' && isRepeatable) ? retryAfter : {}),
    };
  }
}
