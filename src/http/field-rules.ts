import { parseCents } from '../lib/money.ts';

/*
 * Rules that JSON Schema has no word for, or only words whose faults no caller understands (`oneOf`, `if`), as keywords of ours for
 * ajv, so that their faults are reported together with all others. In the documentation, they are extensions.
 */
interface FieldFault {
  instancePath: string;
  message: string;
  params: { fix: string };
}

interface At {
  instancePath: string;
  parentData: unknown;
  parentDataProperty: string | number;
}

interface FieldRule {
  (rule: unknown, data: unknown, schema?: unknown, at?: At): boolean;
  /** Ajv reads them from here. */
  errors?: FieldFault[];
}

type Fault = [path: string, message: string, fix: string];

function fieldRule(find: (rule: unknown, data: unknown, at?: At) => Iterable<Fault>): FieldRule {
  const validate: FieldRule = (rule, data, _schema, at) => {
    const faults = [...find(rule, data, at)];
    const within = at?.instancePath ?? '';
    validate.errors = faults.map(([path, message, fix]) => ({
      instancePath: `${within}${path}`,
      message,
      params: { fix },
    }));
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
      yield [
        `/${index}/${member}`,
        'is named twice; add the quantities up',
        'Name each once, with the sum of its quantities.',
      ];
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
  const fix = `Send either ${first.join(' and ')}, or ${second.join(' and ')}.`;
  for (const name of meant) if (body[name] === undefined) yield [`/${name}`, 'is required', fix];
  for (const name of other) {
    if (body[name] !== undefined) yield [`/${name}`, `cannot go with ${meant.join(', ')}`, fix];
  }
}

/** The letters from here on are the first that compose with the one before them. */
const COMPOSABLE = /[\u0300-\uffff]/;
const UNSTORABLE = /\0|\p{Surrogate}/u;
/** Neither blank, nor a control character, nor one that only shapes others; the last is the blank of Braille. */
const VISIBLE = /[^\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/u;

/**
 * `x-text`: text without NUL, which PostgreSQL cannot store, and without lone surrogates, which UTF-8 cannot. `exact`
 * stays as it is (identities of others), `normal` is brought into the form NFC, so that the same letters are the same
 * text, and `visible` has something to see, too.
 */
function* findTextFaults(rule: unknown, data: unknown, at?: At): Generator<Fault> {
  const text = data as string;
  if (rule !== 'exact' && at !== undefined && COMPOSABLE.test(text)) {
    (at.parentData as Record<string | number, unknown>)[at.parentDataProperty] = text.normalize('NFC');
  }
  if (UNSTORABLE.test(text)) {
    yield [
      '',
      'must not contain NUL or unpaired surrogates',
      'Send text without NUL and without half emojis.',
    ];
  } else if (rule === 'visible' && text !== '' && !VISIBLE.test(text)) {
    yield ['', 'must have a visible character', 'Send text of which something can be seen.'];
  }
}

/** `x-decimals`: 2. The sign and the size are for the bounds to judge. */
function hasCents(_rule: unknown, data: unknown): boolean {
  const amount = Math.abs(data as number);
  return amount >= 1e10 || parseCents(amount) !== undefined;
}

/** `x-above-zero`: of an amount, whether it is a number or text. */
function* findZero(_rule: unknown, data: unknown): Generator<Fault> {
  const isAmount = typeof data === 'number' || typeof data === 'string';
  if (isAmount && parseCents(data) === 0) yield ['', 'must be above 0', 'Send an amount of 0.01 or more.'];
}

export const fieldRules = [
  // The names of the `examples` of a schema in the OpenAPI document; nothing is checked by it.
  { keyword: 'x-example-names' },
  { keyword: 'x-unique-by', type: 'array' as const, validate: fieldRule(findRepeats) },
  { keyword: 'x-either', type: 'object' as const, validate: fieldRule(findMixedForms) },
  {
    keyword: 'x-text',
    type: 'string' as const,
    modifying: true,
    // So that the text that is stored is the one that is measured.
    before: 'maxLength',
    validate: fieldRule(findTextFaults),
  },
  { keyword: 'x-decimals', type: 'number' as const, validate: hasCents },
  { keyword: 'x-above-zero', validate: fieldRule(findZero) },
  // Read by input-faults.ts.
  { keyword: 'x-message' },
  { keyword: 'x-fix' },
];
