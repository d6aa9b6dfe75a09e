/*
 * Rules between the fields of a body, as keywords of ours for ajv, so that their faults are told together with all others.
 * JSON Schema's own words for them (`oneOf`, `if`) name faults that nobody understands, and the documentation shows them
 * as forms that do not exist. There, these are extensions.
 */
interface FieldFault {
  instancePath: string;
  message: string;
}

interface FieldRule {
  (rule: unknown, data: unknown, schema?: unknown, at?: { instancePath: string }): boolean;
  /** Where ajv looks for them. */
  errors?: FieldFault[];
}

type Fault = [path: string, message: string];

function fieldRule(find: (rule: unknown, data: unknown) => Iterable<Fault>): FieldRule {
  const validate: FieldRule = (rule, data, _schema, at) => {
    const faults = [...find(rule, data)];
    const within = at?.instancePath ?? '';
    validate.errors = faults.map(([path, message]) => ({ instancePath: `${within}/${path}`, message }));
    return faults.length === 0;
  };
  return validate;
}

// The casts below: rules are from our own schemas, and ajv has looked at the type of the data.

/** `x-unique-by`: the name of a member in which the elements of a list differ. */
function* findRepeats(rule: unknown, data: unknown): Generator<Fault> {
  const member = rule as string;
  const seen = new Set<unknown>();
  for (const [index, element] of (data as unknown[]).entries()) {
    const value = (element as Record<string, unknown> | null)?.[member];
    if (value !== undefined && seen.has(value)) {
      yield [`${index}/${member}`, 'is named twice; add the quantities up'];
    }
    seen.add(value);
  }
}

/** `x-either`: two forms, each the names of its fields. The second is meant when any field of it is there. */
function* findMixedForms(rule: unknown, data: unknown): Generator<Fault> {
  const [first, second] = rule as [string[], string[]];
  const body = data as Record<string, unknown>;
  const isSecond = second.some((name) => body[name] !== undefined);
  const [meant, other] = isSecond ? [second, first] : [first, second];
  for (const name of meant) if (body[name] === undefined) yield [name, 'is required'];
  for (const name of other) if (body[name] !== undefined) yield [name, `cannot go with ${meant.join(', ')}`];
}

export const fieldRules = [
  // The names of the `examples` of a schema in the OpenAPI document; nothing is checked by it.
  { keyword: 'x-example-names' },
  { keyword: 'x-unique-by', type: 'array' as const, validate: fieldRule(findRepeats) },
  { keyword: 'x-either', type: 'object' as const, validate: fieldRule(findMixedForms) },
];
