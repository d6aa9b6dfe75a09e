import {
  componentName,
  type Media,
  type OpenApiDocument,
  type Operation,
  operationsOf,
  type Schema,
} from './openapi-document.ts';

/*
 * Examples by name on the media type of every body. The schemas hold them, where they are kept right by their neighbours
 * and by the tests; but Postman, Swagger UI and generators of mocks look for them beside the schema only, and make up
 * random bodies otherwise.
 */
export function nameExamples(document: OpenApiDocument): void {
  for (const [path, operation] of operationsOf(document)) {
    for (const media of mediaOf(operation)) media.examples ??= examplesOf(media, document);
    showHeaderExamples(operation);
    showCurrentState(document, path, operation);
  }
}

function showHeaderExamples({ responses = {} }: Operation): void {
  for (const header of Object.values(responses).flatMap(({ headers = {} }) => Object.values(headers))) {
    const { examples, ...schema } = header.schema ?? {};
    if (examples !== undefined) Object.assign(header, { schema, example: examples[0] });
  }
}

function mediaOf({ requestBody, responses = {} }: Operation): Media[] {
  const contents = [requestBody, ...Object.values(responses)].map((part) => part?.content ?? {});
  return contents.flatMap((content) => Object.values(content));
}

function examplesOf(media: Media, document: OpenApiDocument): NonNullable<Media['examples']> {
  const { schema = {}, example } = media;
  delete media.example;
  const component = componentName(schema);
  const resolved = component === undefined ? schema : (document.components?.schemas?.[component] ?? {});
  const listed = resolved.items && examplesOf({ schema: resolved.items }, document);
  if (listed !== undefined && resolved.examples === undefined && example === undefined) {
    const values = Object.values(listed).map(({ value }) => value);
    return { list: { value: values.slice(0, 1) } };
  }
  const values = resolved.examples ?? (example === undefined ? [] : [example]);
  const names = exampleNames(resolved);
  return Object.fromEntries(
    values.map((value, index) => [names[index] ?? nameAfter(component, index), { value }]),
  );
}

/** `x-example-names` goes with `examples`, one by one. */
function exampleNames(schema: Schema): readonly string[] {
  const names = schema['x-example-names'];
  return Array.isArray(names) ? (names as string[]) : [];
}

/** `CreateProduct` has the example `create_product`. */
function nameAfter(component = 'example', index: number): string {
  const name = component.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();
  return index === 0 ? name : `${name}_${index + 1}`;
}

/** Refusals that hold the resource as it is (`current`) show the example of what a GET of it answers. */
function showCurrentState(document: OpenApiDocument, path: string, { responses = {} }: Operation): void {
  const problems = Object.values(responses).flatMap(({ content }) =>
    Object.values(content?.['application/problem+json']?.examples ?? {}),
  );
  for (const example of problems) {
    const value = example.value as Record<string, unknown>;
    if ('current' in value) example.value = { ...value, current: stateAt(document, path) };
  }
}

/** What the nearest resource above a path, or at it, answers to a GET: of `/orders/{id}/status`, that is the order. */
function stateAt(document: OpenApiDocument, path: string): unknown {
  const resource = /^.*?\{id\}/.exec(path)?.[0] ?? path;
  const read = document.paths?.[resource]?.['get'] as Operation | undefined;
  const media = read?.responses?.['200']?.content?.['application/json'];
  return media && Object.values(media.examples ?? examplesOf({ ...media }, document))[0]?.value;
}
