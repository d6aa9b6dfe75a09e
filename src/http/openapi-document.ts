/** The parts of an OpenAPI document that are completed here, as far as they are looked at. */
export interface OpenApiDocument {
  paths?: Record<string, Record<string, unknown> | undefined>;
  components?: { schemas?: Record<string, Schema>; responses?: Record<string, Answer> };
}

export interface Schema {
  [keyword: string]: unknown;
  $ref?: string;
  type?: unknown;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  examples?: unknown[];
}

export interface Media {
  schema?: Schema;
  example?: unknown;
  examples?: Record<string, { summary?: string; value: unknown }>;
}

export interface Answer {
  $ref?: string;
  description?: string;
  headers?: Record<string, { schema?: Schema; example?: unknown }>;
  content?: Record<string, Media>;
}

export interface Operation {
  operationId?: string;
  parameters?: { name?: string }[];
  requestBody?: { content?: Record<string, Media> };
  responses?: Record<string, Answer>;
}

export function* operationsOf(document: OpenApiDocument): Generator<[path: string, operation: Operation]> {
  for (const [path, operations] of Object.entries(document.paths ?? {})) {
    for (const operation of Object.values(operations ?? {})) yield [path, operation as Operation];
  }
}

const COMPONENTS = '#/components/schemas/';

/** The name of the component that a schema refers to, if it does. */
export function componentName(schema: Schema): string | undefined {
  return schema.$ref?.startsWith(COMPONENTS) ? schema.$ref.slice(COMPONENTS.length) : undefined;
}

export function componentReference(name: string): Schema {
  return { $ref: COMPONENTS + name };
}
