import { type Static, type TSchema, Type } from '@sinclair/typebox';

import { MAX_AMOUNT } from '../lib/money.ts';
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PAGE_SKIP_MAX } from '../lib/page.ts';

/*
 * The parts that the schemas of several features share. Validation never coerces and never drops: a value of another
 * type and an unknown field are faults (`validation.ts`).
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

interface TextOptions {
  description?: string;
  /** See `x-text` in field-rules.ts. */
  'x-text'?: 'exact' | 'normal' | 'visible';
}

/** Text of a length in code points. */
export function text(minLength: number, maxLength: number, options: TextOptions = {}) {
  return Type.String({ minLength, maxLength, 'x-text': 'normal', ...options });
}

/** Text, or null; one schema with two types, so that a fault is reported once and not for each alternative. */
export function nullableText(maxLength: number, options: TextOptions & Record<string, unknown> = {}) {
  return Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength, 'x-text': 'normal', ...options });
}

export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/** `{id}` of a path; `validation.ts` lets only plain digits become a number. */
export const IdParams = Type.Object({ id: { ...Id, examples: [1] } });

export const QUANTITY_MAX = 1_000_000_000;

const AMOUNT_FIX = `Send an amount of at most ${MAX_AMOUNT} with two decimals at most, such as 29.99 or "29.99".`;

/** An amount in a request: a number, or a decimal string; `json-text.ts` sees to it that no number was rounded before. */
export const Money = Type.Unsafe<number | string>({
  $id: 'Money',
  anyOf: [
    { type: 'number', minimum: 0, maximum: MAX_AMOUNT, 'x-decimals': 2 },
    { type: 'string', pattern: String.raw`^\d{1,10}(\.\d{1,2})?$` },
  ],
  description: 'A number, or a decimal string; two decimals at most, never rounded',
  'x-message': 'must be an amount with two decimals at most',
  'x-fix': AMOUNT_FIX,
});

export const PriceInput = Type.Unsafe<number | string>({
  ...ref(Money),
  description: 'Above 0',
  'x-above-zero': true,
  'x-fix': AMOUNT_FIX,
});

export const AmountInput = ref(Money);

export const Timestamp = Type.String({ format: 'date-time' });

/** The filters of a list by the time of its rows. */
export const PeriodStart = Type.Optional({
  ...Timestamp,
  description: 'Inclusive',
  examples: ['2026-01-01T00:00:00Z'],
});
export const PeriodEnd = Type.Optional({
  ...Timestamp,
  description: 'Exclusive',
  examples: ['2026-02-01T00:00:00Z'],
});

/** What every list takes beside its filters. */
export const pageQuery = (order: 'oldest first' | 'newest first') => ({
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: PAGE_LIMIT_MAX,
      description: `Default ${PAGE_LIMIT_DEFAULT}`,
      examples: [20],
    }),
  ),
  skip: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: PAGE_SKIP_MAX,
      description: 'For small jumps; not together with cursor',
      examples: [40],
    }),
  ),
  sort: Type.Optional(
    oneOf(['id', '-id'], {
      description: `Default ${order === 'oldest first' ? 'id' : '-id'}: ${order}`,
      examples: ['-id'],
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'From the Link header of the page before; belongs to its sort and filters',
      examples: ['MTAwLm1BV0Q3SFVBd0FiSA'],
    }),
  ),
});

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      'x-message': 'must be 1 to 255 visible ASCII characters',
      'x-fix': 'Send a new UUID with each command, and the same one when you repeat it.',
      description: 'Makes the call safe to repeat: the same key and command give the same answer',
      examples: ['9f1c2a64-7d0b-4a51-9b1d-3f6f0e6a9c11'],
    }),
  ),
});

export const IfMatchHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      description: 'The ETag that the change is meant for; 412 when the resource has moved on',
      examples: ['"3"'],
    }),
  ),
});

export const IfNoneMatchHeaders = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({ description: 'An ETag; 304 when it is still the current one', examples: ['"3"'] }),
  ),
});

/** A call that takes no query parameters, and says so instead of ignoring them. */
export const NoQuery = Type.Object({}, { additionalProperties: false });
