import type { FastifyInstance, FastifySchema } from 'fastify';

import { validationFailed } from '../lib/errors.ts';
import { fieldRules } from './field-rules.ts';

/*
 * Strict input. Fastify's defaults would turn null into 0, "0x10" into 16 and drop unknown fields; here
 * nothing is coerced or dropped. Paths and queries are text on the wire, so plain decimal numbers and booleans in them
 * become values before validation, and everything else stays text and fails.
 */
export const ajvOptions = {
  customOptions: {
    allErrors: true,
    // Errors carry their schema and their data, from which input-faults.ts describes them.
    verbose: true,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allowUnionTypes: true,
    keywords: fieldRules,
  },
};

const PLAIN_INTEGER = /^-?(0|[1-9]\d{0,15})$/;

type Properties = Record<string, { type?: unknown }>;

/** Adds the conversion of path and query values to every route that declares them; a route without a query has none. */
export function convertTextInput(app: FastifyInstance): void {
  // Fastify's own would put the text of all errors together, only for problem.ts to describe them anew.
  app.setSchemaErrorFormatter(() => new Error('The input is not valid'));
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

const UNDECODABLE = validationFailed([
  {
    path: 'query',
    message: 'must be percent-encoded UTF-8',
    fix: 'Encode each value as UTF-8, and each % as %25.',
  },
]);

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
