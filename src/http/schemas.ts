import { type Static, type TSchema, Type } from '@sinclair/typebox';

import { MAX_AMOUNT } from '../lib/money.ts';
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PAGE_SKIP_MAX } from '../lib/page.ts';

/*
 * The parts that the schemas of several features share. Validation never coerces and never drops: a value of another
 * type and a field that nobody knows are faults (`validation.ts`).
 */

/** A reference to a schema that `app.addSchema` knows by its $id, typed like the schema itself. */
export function ref<T extends TSchema>(schema: T) {
  return Type.Unsafe<Static<T>>(Type.Ref(schema.$id ?? ''));
}

/** One of some words; an `enum`, so that a wrong word is one fault and not one for each alternative. */
export function oneOf<const T extends string>(values: readonly T[], options: Record<string, unknown> = {}) {
  return Type.Unsafe<T>({ type: 'string', enum: [...values], ...options });
}

/** A value of an answer that may be missing. */
export function nullable<T extends TSchema>(schema: T, options: { description?: string } = {}) {
  return Type.Union([schema, Type.Null()], options);
}

/** No NUL, which PostgreSQL cannot store, and no lone surrogate, which UTF-8 cannot (ajv compiles with the u flag). */
const STORABLE_TEXT = String.raw`^[^\u0000\ud800-\udfff]*$`;

/** Text of a length in code points. */
export function text(minLength: number, maxLength: number, options: { description?: string } = {}) {
  return Type.String({ minLength, maxLength, pattern: STORABLE_TEXT, ...options });
}

export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/** `{id}` of a path; `validation.ts` lets only plain digits become a number. */
export const IdParams = Type.Object({ id: Id });

export const QUANTITY_MAX = 1_000_000_000;

/**
 * An amount in a request: a number, or a decimal string. `type`, `pattern` and the bounds each apply to their own
 * type; the format holds numbers to two decimals.
 */
function money(options: Record<string, unknown>) {
  return Type.Unsafe<number | string>({ type: ['number', 'string'], format: 'money', ...options });
}

/** Text, or null; one schema with two types, so that a fault is told once and not for each alternative. */
export function nullableText(maxLength: number, options: Record<string, unknown> = {}) {
  return Type.Unsafe<string | null>({
    type: ['string', 'null'],
    maxLength,
    pattern: STORABLE_TEXT,
    ...options,
  });
}

export const PriceInput = money({
  exclusiveMinimum: 0,
  maximum: MAX_AMOUNT,
  pattern: String.raw`^(?!0+(\.0+)?$)\d{1,10}(\.\d{1,2})?$`,
  description: 'A number, or a decimal string; two decimals at most, never rounded',
});

export const AmountInput = money({
  minimum: 0,
  maximum: MAX_AMOUNT,
  pattern: String.raw`^\d{1,10}(\.\d{1,2})?$`,
});

export const Timestamp = Type.String({ format: 'date-time' });

/** The filters of a list by the time of its rows. */
export const PeriodStart = Type.Optional({ ...Timestamp, description: 'Inclusive' });
export const PeriodEnd = Type.Optional({ ...Timestamp, description: 'Exclusive' });

/** What every list takes beside its filters. */
export const pageQuery = (order: 'oldest first' | 'newest first') => ({
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: PAGE_LIMIT_MAX, description: `Default ${PAGE_LIMIT_DEFAULT}` }),
  ),
  skip: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: PAGE_SKIP_MAX,
      description: 'For small jumps; not together with cursor',
    }),
  ),
  sort: Type.Optional(
    oneOf(['id', '-id'], { description: `Default ${order === 'oldest first' ? 'id' : '-id'}: ${order}` }),
  ),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'From the Link header of the page before; belongs to its sort and filters',
    }),
  ),
});

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description: 'Makes the call safe to repeat: the same key and command give the same answer',
    }),
  ),
});

export const IfMatchHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({ description: 'The ETag that the change is meant for; 412 when the resource has moved on' }),
  ),
});

export const IfNoneMatchHeaders = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({ description: 'An ETag; 304 when it is still the current one' }),
  ),
});

export const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri-reference' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'One sentence for people' }),
    code: Type.String({ description: 'Stable, for programs; explained at /problems/{code}' }),
    request_id: Type.String(),
    errors: Type.Optional(
      Type.Array(Type.Object({ path: Type.String(), message: Type.String() }), {
        description: 'Every fault of the input, with status 422',
      }),
    ),
  },
  {
    $id: 'Problem',
    additionalProperties: true,
    description: 'RFC 9457 problem details',
    examples: [
      {
        type: '/problems/product_not_found',
        title: 'Product not found',
        status: 404,
        detail: 'Product not found',
        code: 'product_not_found',
        request_id: 'BTBf4LRhayFa-2',
      },
    ],
  },
);

const REFUSALS: Record<number, string> = {
  400: 'Malformed, or not possible in this state',
  401: 'No signature',
  403: 'The signature does not verify',
  404: 'Not found',
  409: 'In conflict with what is stored',
  412: 'The resource has moved on; `current` is its state',
  413: 'Too large',
  415: 'Not application/json, or encoded',
  422: 'A value is not acceptable; `errors` names every fault',
  503: 'The database cannot take it now; try again after Retry-After seconds',
};

/** Responses of the given statuses, each a problem document. */
export function problemResponses(...statuses: number[]): Record<number, object> {
  const entries = statuses.map((status) => [
    status,
    {
      description: REFUSALS[status] ?? '',
      content: { 'application/problem+json': { schema: Type.Ref('Problem') } },
    },
  ]);
  return Object.fromEntries(entries) as Record<number, object>;
}

/** A call that takes no query parameters, and says so instead of ignoring them. */
export const NoQuery = Type.Object({}, { additionalProperties: false });
