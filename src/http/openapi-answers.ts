import { STATUS_CODES } from 'node:http';

/*
 * What the route schemas cannot say about answers: their headers, and in words what a status means. The headers follow
 * from the kind of call, so they are written once here and not in every route.
 */
interface Answer {
  description?: string;
  headers?: Record<string, object>;
}

interface Operation {
  operationId?: string;
  parameters?: { name?: string }[];
  responses?: Record<string, Answer>;
}

interface Document {
  paths?: Record<string, Record<string, unknown> | undefined>;
}

const text = (description: string) => ({ description, schema: { type: 'string' } });

const requestId = { 'X-Request-ID': text('The id of the request, taken over or made') };
const etag = { ETag: text('The version of the resource') };
const location = { Location: text('Where the new resource is') };
const replayed = { 'Idempotency-Replayed': text('true when this is the stored answer of an earlier call') };
const link = { Link: text('Leads to the next page: <…>; rel="next"') };
const retryAfter = { 'Retry-After': text('Seconds to wait before trying again') };

export function describeAnswers<T extends Document>(document: T): T {
  for (const operations of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(operations ?? {})) describeOperation(operation as Operation);
  }
  return document;
}

function describeOperation({ operationId = '', parameters = [], responses = {} }: Operation): void {
  const takes = (...names: string[]) => parameters.some(({ name = '' }) => names.includes(name));
  // Whoever takes a version also tells it.
  const isVersioned = takes('if-match', 'if-none-match');
  const isRepeatable = takes('idempotency-key');
  const done = '201' in responses ? '201' : '200';
  for (const [status, answer] of Object.entries(responses)) {
    if (answer.description === 'Default Response') answer.description = STATUS_CODES[status] ?? '';
    answer.headers = {
      ...requestId,
      ...(status === '201' && operationId.startsWith('create') ? location : {}),
      ...(status === '201' ? etag : {}),
      ...(status === '200' && operationId.startsWith('list') ? link : {}),
      ...(status === '200' && isVersioned ? etag : {}),
      ...(status === done && isRepeatable ? replayed : {}),
      ...(status === '503' || (status === '409' && isRepeatable) ? retryAfter : {}),
    };
  }
}
