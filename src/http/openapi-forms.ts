import { componentReference, type OpenApiDocument, type Schema } from './openapi-document.ts';

/*
 * What the schemas say in words of their own for the sake of readable faults (`field-rules.ts`), in the words that
 * generators understand.
 */
export function useStandardWords(document: OpenApiDocument): void {
  const schemas = document.components?.schemas ?? {};
  for (const [name, schema] of Object.entries(schemas)) {
    delete schema['x-example-names'];
    if (Array.isArray(schema['x-either'])) splitForms(schemas, name, schema);
  }
  markLongIntegers(document);
  dropMessages(document);
}

/** What is for faults only. */
function dropMessages(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  for (const name of ['x-message', 'x-fix']) Reflect.deleteProperty(node, name);
  for (const child of Object.values(node)) dropMessages(child);
}

/** A body with two forms becomes `oneOf` of two closed objects, each with the fields of its form and those of both. */
function splitForms(schemas: Record<string, Schema>, name: string, schema: Schema): void {
  const { 'x-either': either, type, properties = {}, required = [], additionalProperties, ...rest } = schema;
  // From our own schema, which ajv has compiled.
  const forms = either as string[][];
  const special = new Set(forms.flat());
  const shared = Object.entries(properties).filter(([field]) => !special.has(field));
  const names = forms.map((form) => `${name}By${pascalCase(form[0] ?? '')}`);
  for (const [index, form] of forms.entries()) {
    const own = form.map((field): [string, Schema] => [field, properties[field] ?? {}]);
    schemas[names[index] ?? ''] = {
      type,
      properties: Object.fromEntries([...own, ...shared]),
      required: [...form, ...required],
      additionalProperties,
    };
  }
  schemas[name] = { ...rest, oneOf: names.map(componentReference) };
}

function pascalCase(field: string): string {
  return field.replace(/(?:^|_)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

const INT32_MAX = 2 ** 31 - 1;

/** Without it, generators for languages with sized integers take 32 bits. */
function markLongIntegers(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  const schema = node as Schema;
  if (schema.type === 'integer' && Number(schema['maximum']) > INT32_MAX) schema['format'] = 'int64';
  for (const child of Object.values(schema)) markLongIntegers(child);
}
