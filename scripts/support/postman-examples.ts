/*
 * The saved examples of the Postman collection, made of the examples of the OpenAPI document: one a request, of the
 * status that its test expects. So Postman shows the document's own example for each request.
 */
export interface PostmanItem {
  name: string;
  item?: PostmanItem[];
  request?: PostmanRequest;
  response?: unknown[];
  event?: { listen: string; script: { exec: string[] } }[];
}

interface PostmanRequest {
  method: string;
  url: string | { path?: string[] };
}

interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Answer> } | undefined>>;
}

interface Answer {
  description: string;
  content?: Record<string, { examples?: Record<string, { value: unknown }> }>;
}

/** Sets the examples of every request that the document knows. */
export function fillExamples(items: PostmanItem[], document: Document): void {
  for (const item of items) {
    if (item.item !== undefined) fillExamples(item.item, document);
    if (item.request !== undefined) item.response = exampleOf(item, item.request, document);
  }
}

function exampleOf(item: PostmanItem, request: PostmanRequest, document: Document): unknown[] {
  const operation = documentedAt(pathOf(request), document)?.[request.method.toLowerCase()];
  const test = (item.event ?? [])
    .flatMap(({ listen, script }) => (listen === 'test' ? script.exec : []))
    .join('\n');
  const status = /status\((\d+)\)/.exec(test)?.[1] ?? '200';
  const answer = operation?.responses[status];
  if (answer === undefined) return [];
  const [type, media] = Object.entries(answer.content ?? {})[0] ?? [];
  const named = Object.entries(media?.examples ?? {});
  // A test that expects a refusal names its code.
  const [name, example] = named.find(([code]) => test.includes(`'${code}'`)) ?? named[0] ?? [];
  return [
    {
      name: name ?? `${status} without a body`,
      originalRequest: request,
      status: answer.description.split('\n')[0],
      code: Number(status),
      header: type === undefined ? [] : [{ key: 'Content-Type', value: type }],
      body: bodyOf(example?.value),
    },
  ];
}

function bodyOf(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

function pathOf({ url }: PostmanRequest): string[] {
  return typeof url === 'string' ? url.split('/').slice(1) : (url.path ?? []);
}

function documentedAt(path: string[], document: Document) {
  const fits = (template: string) => {
    const parts = template.split('/').slice(1);
    return (
      parts.length === path.length &&
      parts.every((part, index) => part.startsWith('{') || part === path[index])
    );
  };
  // A path without a parameter is meant before one with one: `/orders/preview`, not `/orders/{id}`.
  const templates = Object.keys(document.paths).filter(fits);
  const exact = templates.find((template) => !template.includes('{'));
  return document.paths[exact ?? templates[0] ?? ''];
}
