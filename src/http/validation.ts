import type { FastifyInstance, FastifySchema, FastifySchemaValidationError } from 'fastify';

import { type InputFault, validationFailed } from '../lib/errors.ts';
import { MAX_AMOUNT, parseCents } from '../lib/money.ts';
import { fieldRules } from './field-rules.ts';

/*
 * Strict input. Fastify's defaults would turn null into 0, "0x10" into 16 and drop fields that nobody knows; here
 * nothing is coerced or dropped. Paths and queries are text on the wire, so plain decimal numbers and booleans in them
 * become values before validation, and everything else stays text and fails.
 */
export const ajvOptions = {
  customOptions: {
    allErrors: true,
    // Errors carry their schema, which names the fields that exist.
    verbose: true,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allowUnionTypes: true,
    // Numbers only; strings are held by their pattern.
    formats: { money: { type: 'number' as const, validate: isWholeCents } },
    keywords: fieldRules,
  },
};

/** Two decimals at most; the sign and the size are for the bounds to judge. */
function isWholeCents(amount: number): boolean {
  return Math.abs(amount) > MAX_AMOUNT || parseCents(Math.abs(amount)) !== undefined;
}

const PLAIN_INTEGER = /^-?(0|[1-9]\d{0,15})$/;

type Properties = Record<string, { type?: unknown }>;

/** Adds the conversion of path and query values to every route that declares them; a route without a query has none. */
export function convertTextInput(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const schema: FastifySchema = route.schema ?? {};
    const query = typedNames(schema.querystring);
    const params = typedNames(schema.params);
    if (query.length === 0 && params.length === 0) return;
    const existing = [route.preValidation ?? []].flat();
    route.preValidation = [
      ...existing,
      (request, _reply, done) => {
        if (!isDecodable(request.url)) return done(UNDECODABLE);
        convert(request.query, query);
        convert(request.params, params);
        return done();
      },
    ];
  });
}

/** Fastify's query parser takes an escape that is not UTF-8 as the text of the escape: another value than was meant. */
function isDecodable(url: string): boolean {
  const start = url.indexOf('?');
  if (start < 0 || !url.includes('%', start)) return true;
  try {
    decodeURIComponent(url.slice(start));
    return true;
  } catch {
    return false;
  }
}

const UNDECODABLE = validationFailed([{ path: 'query', message: 'must be percent-encoded UTF-8' }]);

function typedNames(schema: unknown): [name: string, type: 'integer' | 'boolean'][] {
  const properties = (schema as { properties?: Properties } | undefined)?.properties ?? {};
  return Object.entries(properties).flatMap(([name, { type }]) =>
    type === 'integer' || type === 'boolean' ? [[name, type] as const] : [],
  ) as [string, 'integer' | 'boolean'][];
}

function convert(input: unknown, names: readonly [string, 'integer' | 'boolean'][]): void {
  const values = input as Record<string, unknown>;
  for (const [name, type] of names) {
    const value = values[name];
    if (typeof value !== 'string') continue;
    if (type === 'integer' && PLAIN_INTEGER.test(value)) values[name] = Number(value);
    if (type === 'boolean' && (value === 'true' || value === 'false')) values[name] = value === 'true';
  }
}

const PARTS: Record<string, string> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

/** ajv's errors as faults that a caller can read, each once. */
export function toInputFaults(
  errors: readonly FastifySchemaValidationError[],
  validationContext: string | undefined,
): InputFault[] {
  const part = PARTS[validationContext ?? 'body'] ?? 'body';
  // `if` only says that its `then` has faults, which are told themselves.
  const told = errors.filter(({ keyword }) => keyword !== 'if');
  const faults = told.map((error) => toFault(error, part));
  const unique = new Map(faults.map((fault) => [`${fault.path} ${fault.message}`, fault]));
  return [...unique.values()];
}

function toFault(error: FastifySchemaValidationError, part: string) {
  const { instancePath, keyword, params, message } = error;
  const path = `${part}${instancePath}`;
  switch (keyword) {
    case 'additionalProperties':
      return { path: `${path}/${String(params['additionalProperty'])}`, message: unknownField(error) };
    case 'required':
      return { path: `${path}/${String(params['missingProperty'])}`, message: 'is required' };
    case 'enum':
      return { path, message: `must be one of ${(params['allowedValues'] as unknown[]).join(', ')}` };
    case 'type':
      return { path, message: typeMessage(error) };
    case 'not':
      return { path, message: forbiddenMessage(error) };
    case 'minProperties':
      return { path, message: 'must name at least one field' };
    case 'format':
      return { path, message: formatMessage(String(params['format'])) };
    case 'pattern':
      return { path, message: patternMessage(String(params['pattern'])) };
    default:
      return { path, message: message ?? 'is not acceptable' };
  }
}

/** Names what would have been known: whoever mistypes a filter finds it here. */
function unknownField(error: FastifySchemaValidationError): string {
  const { parentSchema } = error as { parentSchema?: { properties?: object } };
  const known = Object.keys(parentSchema?.properties ?? {});
  return known.length === 0 ? 'is not known: there are none' : `is not known; known are ${known.join(', ')}`;
}

function typeMessage(error: FastifySchemaValidationError): string {
  const { data } = error as { data?: unknown };
  const types = [error.params['type']].flat().join(' or ');
  return Array.isArray(data) ? `must be one ${types}, not a list` : `must be ${types}`;
}

/** `not` with a constant; the schemas use it for nothing else. */
function forbiddenMessage(error: FastifySchemaValidationError): string {
  const { schema } = error as { schema?: { const?: unknown } };
  return `must not be ${JSON.stringify(schema?.const)}`;
}

function formatMessage(format: string): string {
  return format === 'money' ? 'must have two decimals at most' : `must be a ${format}`;
}

function patternMessage(pattern: string): string {
  if (pattern.includes('@')) return 'must be an email address';
  if (pattern.includes('ud800')) return 'must not contain NUL or unpaired surrogates';
  if (pattern.includes('(?!0+')) return 'must be a decimal amount above 0, with two decimals at most';
  if (pattern.includes(String.raw`\d{1,10}`)) return 'must be a decimal amount with two decimals at most';
  return `must match ${pattern}`;
}
