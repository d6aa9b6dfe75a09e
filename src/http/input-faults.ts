import type { FastifySchemaValidationError } from 'fastify';

import { FAULTS_MAX, type InputFault } from '../lib/errors.ts';

/*
 * Ajv's errors as faults that a caller can read and mend. A schema that knows better words than these has them in
 * `x-message` (what is wrong) and `x-fix` (a sentence that says what would be right).
 */

/** The parts of a schema that a fault is described with. */
interface Described {
  type?: string | string[];
  enum?: unknown[];
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Described>;
  'x-message'?: string;
  'x-fix'?: string;
}

/** With the option `verbose`, which Fastify's type knows nothing of, an error carries its schema and the data. */
type VerboseError = FastifySchemaValidationError & {
  parentSchema?: Described | undefined;
  schema?: unknown;
  data?: unknown;
};

const PARTS: Record<string, string> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

/** Each fault once, and no more than an answer lists. */
export function toInputFaults(
  errors: readonly FastifySchemaValidationError[],
  validationContext: string | undefined,
): InputFault[] {
  const part = PARTS[validationContext ?? 'body'] ?? 'body';
  const unions = new Set(errors.filter(({ keyword }) => keyword === 'anyOf').map((e) => e.instancePath));
  const faults = new Map<string, InputFault>();
  for (const error of errors) {
    // `if` only says that its `then` has faults; a union speaks for its alternatives.
    const isAlternative = error.schemaPath.includes('/anyOf/') && unions.has(error.instancePath);
    if (error.keyword === 'if' || isAlternative) continue;
    const fault = toFault(error, part);
    faults.set(`${fault.path} ${fault.message}`, fault);
    if (faults.size === FAULTS_MAX) break;
  }
  return [...faults.values()];
}

function toFault(error: VerboseError, part: string): InputFault {
  const { instancePath, keyword, params, parentSchema = {} } = error;
  const path = `${part}${instancePath}`;
  switch (keyword) {
    case 'additionalProperties': {
      const known = Object.keys(parentSchema.properties ?? {}).join(', ');
      return {
        path: `${path}/${String(params['additionalProperty'])}`,
        message: known === '' ? 'is not known (there are none)' : `is not known (known are ${known})`,
        fix: known === '' ? 'Leave it out.' : `Leave it out, or use one of ${known}.`,
      };
    }
    case 'required': {
      const name = String(params['missingProperty']);
      const fix = describeFix(parentSchema.properties?.[name] ?? {});
      return { path: `${path}/${name}`, message: 'is required', fix };
    }
    case 'format':
      return { path, ...describeFormat(error, part) };
    default: {
      // Rules of field-rules.ts bring their own.
      const { fix = describeFix(parentSchema) } = params as { fix?: string };
      return { path, message: describeMessage(error), fix };
    }
  }
}

function describeMessage({ keyword, params, parentSchema, schema, data, message }: VerboseError): string {
  switch (keyword) {
    case 'enum':
      return `must be one of ${(params['allowedValues'] as unknown[]).join(', ')}`;
    case 'type': {
      const types = [params['type']].flat().join(' or ');
      return Array.isArray(data) ? `must be one ${types}, not a list` : `must be ${types}`;
    }
    // `not` with a constant; the schemas use it for nothing else.
    case 'not':
      return `must not be ${JSON.stringify((schema as { const?: unknown } | undefined)?.const)}`;
    case 'minProperties':
      return 'must name at least one field';
    case 'pattern':
    case 'anyOf':
      return parentSchema?.['x-message'] ?? 'does not have the right form';
    default:
      return message ?? 'is not acceptable';
  }
}

const EXAMPLE_TIME = '2026-01-02T03:04:05Z';

/** Times are the only format. A + in a query stands for a space, and so does the one before an offset. */
function describeFormat({ data, parentSchema }: VerboseError, part: string) {
  if (part === 'query' && typeof data === 'string' && /[T ][\d:.]+ \d\d:?\d\d$/i.test(data)) {
    return {
      message: 'has a space where a + was meant; write + as %2B',
      fix: 'Write + as %2B, or send the time in UTC, such as 2026-01-02T03:04:05Z.',
    };
  }
  return { message: `must be a ${parentSchema?.format ?? 'value'}`, fix: describeFix(parentSchema ?? {}) };
}

/** What a schema asks for, as one sentence. */
function describeFix(schema: Described): string {
  if (schema['x-fix'] !== undefined) return schema['x-fix'];
  if (schema.enum !== undefined) return `Send one of ${schema.enum.join(', ')}.`;
  const kinds = [schema.type ?? []].flat().map((type) => describeKind(type, schema));
  return kinds.length === 0
    ? 'Send what the documentation of the call describes.'
    : `Send ${kinds.join(' or ')}.`;
}

function describeKind(type: string, schema: Described): string {
  switch (type) {
    case 'string':
      if (schema.format === 'date-time') return `a time such as ${EXAMPLE_TIME}`;
      return `text${describeRange(schema.minLength, schema.maxLength, 'characters')}`;
    case 'array':
      return `a list${describeRange(schema.minItems, schema.maxItems, 'elements')}`;
    case 'object':
      return describeObject(Object.keys(schema.properties ?? {}));
    case 'integer':
    case 'number':
      return `${type === 'integer' ? 'an integer' : 'a number'}${describeBounds(schema.minimum, schema.maximum)}`;
    case 'boolean':
      return 'true or false';
    default:
      return type;
  }
}

function describeObject(names: readonly string[]): string {
  return names.length === 0 ? 'a JSON object' : `a JSON object of ${names.join(', ')}`;
}

function describeRange(min: number | undefined, max: number | undefined, unit: string): string {
  if (max === undefined) return min === undefined ? '' : ` of at least ${min} ${unit}`;
  return min === undefined ? ` of at most ${max} ${unit}` : ` of ${min} to ${max} ${unit}`;
}

function describeBounds(min: number | undefined, max: number | undefined): string {
  if (max === undefined) return min === undefined ? '' : ` from ${min} on`;
  return min === undefined ? ` up to ${max}` : ` from ${min} to ${max}`;
}
