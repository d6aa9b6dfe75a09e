import { Type } from '@sinclair/typebox';

import { type ProblemCode, problems } from '../lib/errors.ts';
import { problemGuide } from '../lib/problem-guide.ts';
import { type Answer, componentReference } from './openapi-document.ts';
import { Id, oneOf, ref } from './schemas.ts';

/*
 * What the document says about refusals. Each route lists the ones that it can answer with, as `problems` of its
 * schema; the OpenAPI document is made of that list, the closed table of codes and its guide. They are not among
 * `response`, because Fastify would then compile a serializer for each status of each route, and a problem document is
 * written in one place (`problem.ts`).
 */

// Object.keys loses the type of a table that is closed.
export const problemCodes = Object.keys(problems) as ProblemCode[];

/** A status that has one usual code; other statuses are listed by code. */
const usualCodes = {
  400: 'malformed_request',
  401: 'missing_signature',
  403: 'invalid_signature',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  422: 'validation_failed',
  503: 'service_unavailable',
} as const satisfies Record<number, ProblemCode>;

export type Refusal = ProblemCode | keyof typeof usualCodes;

declare module 'fastify' {
  interface FastifySchema {
    /** The refusals that the route can answer with, for the OpenAPI document. */
    problems?: readonly Refusal[];
  }
}

const ProblemCodeSchema = oneOf(problemCodes, {
  $id: 'ProblemCode',
  description: 'Stable, for programs; explained at /problems/{code}',
});

const InputFaultSchema = Type.Object(
  {
    path: Type.String({ description: '`body`, `query`, `path` or `header`, then the names of the members' }),
    message: Type.String({ description: 'What is wrong with it' }),
    fix: Type.String({ description: 'One sentence that says what would be right' }),
  },
  { $id: 'InputFault', examples: problemGuide.validation_failed.example['errors'] },
);

const ShortageSchema = Type.Object(
  {
    product_id: Id,
    available: Type.Integer({ description: 'What can be sold now' }),
    requested: Type.Integer({ description: 'What was asked for' }),
  },
  { $id: 'Shortage', examples: problemGuide.insufficient_stock.example['shortages'] },
);

const ProblemSchema = Type.Object(
  {
    type: Type.String({ format: 'uri-reference', description: 'Leads to the page that explains it' }),
    title: Type.String({ description: 'The kind of problem, always the same for one code' }),
    status: Type.Integer({ description: 'The status of the answer' }),
    detail: Type.String({ description: 'One sentence for people' }),
    code: ref(ProblemCodeSchema),
    request_id: Type.String({ description: 'The id of the request, as in X-Request-ID and in the log' }),
    errors: Type.Optional(
      Type.Array(ref(InputFaultSchema), {
        description: 'With validation_failed: every fault of the input, up to 100',
      }),
    ),
    shortages: Type.Optional(
      Type.Array(ref(ShortageSchema), {
        description: 'With insufficient_stock: every product that falls short',
      }),
    ),
    allowed: Type.Optional(
      Type.Array(Type.Ref('OrderStatus'), {
        description: 'With invalid_status_transition: the states that the order can be moved to',
      }),
    ),
    current: Type.Optional(
      Type.Unsafe({
        anyOf: ['Order', 'Product', 'PaymentException', 'WebhookEndpoint'].map((name) => Type.Ref(name)),
        description: 'With version_mismatch and exception_already_resolved: the resource as it is',
      }),
    ),
    held: Type.Optional(
      Type.Number({ description: 'With refund_exceeds_held: what the shop holds for the order' }),
    ),
    product_id: Type.Optional({
      ...Id,
      description: 'With product_not_found and product_inactive: the product of the order that it is about',
    }),
  },
  {
    $id: 'Problem',
    additionalProperties: true,
    description: 'RFC 9457 problem details',
    examples: [problemExample('insufficient_stock')],
  },
);

/** What the document names; no route validates or writes with them. */
export const problemSchemas = [ProblemCodeSchema, InputFaultSchema, ShortageSchema, ProblemSchema];

/** A document of this code, as it is answered. */
export function problemExample(code: ProblemCode): Record<string, unknown> {
  const { status, title } = problems[code];
  const { detail, ...members } = problemGuide[code].example;
  return {
    type: `/problems/${code}`,
    title,
    status,
    detail,
    code,
    request_id: 'BTBf4LRhayFa-2',
    ...members,
  };
}

/** What any call can be refused with before its route is asked, for its HTTP, its host or its origin; and our faults. */
const generalCodes = [
  'malformed_request',
  'cross_site_request',
  'request_timeout',
  'expectation_failed',
  'misdirected_request',
  'headers_too_large',
  'internal_error',
  'not_implemented',
] as const satisfies readonly ProblemCode[];

/** The answer to every call whose status the call itself does not list. */
export function generalResponse(): Answer {
  const { description, content } = problemResponse(generalCodes);
  const media = { ...content['application/problem+json'], schema: componentReference('Problem') };
  return { description, content: { 'application/problem+json': media } };
}

/** The answers of a route that are problem documents, by status, with an example for each code. */
export function problemResponses(refusals: readonly Refusal[]): Record<number, object> {
  const own = refusals.map((refusal) => (typeof refusal === 'number' ? usualCodes[refusal] : refusal));
  const statuses = [...new Set(own.map((code) => problems[code].status))];
  const codes = [...new Set<ProblemCode>([...own, ...generalCodes])];
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      problemResponse(codes.filter((code) => problems[code].status === status)),
    ]),
  );
}

function problemResponse(codes: readonly ProblemCode[]) {
  const examples = codes.map((code) => [
    code,
    { summary: problems[code].title, value: problemExample(code) },
  ]);
  return {
    description: codes.map((code) => `\`${code}\`: ${problemGuide[code].means}`).join('\n\n'),
    content: {
      'application/problem+json': { schema: Type.Ref('Problem'), examples: Object.fromEntries(examples) },
    },
  };
}
