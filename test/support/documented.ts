import type { FastifyInstance } from 'fastify';

import type { Answer } from './calls.ts';

/*
 * Every refusal that a test gets is held against the document: its call must list the code. So no test of a refusal can
 * pass while clients that were made from the document do not know it.
 */
interface Document {
  paths: Record<string, Record<string, Operation> | undefined>;
  components: { responses: Record<string, Refusals> };
}

interface Operation {
  responses: Record<string, Refusals & { $ref?: string }>;
}

interface Refusals {
  content?: Record<string, { examples?: Record<string, unknown> }>;
}

/** @throws when the document does not say that this call can be refused so */
export function holdAgainstDocument(app: FastifyInstance, method: string, url: string, answer: Answer): void {
  const code: unknown = answer.body?.code;
  if (answer.status < 400 || typeof code !== 'string') return;
  // @fastify/swagger gives it once and keeps it; these are the parts of it that are looked at.
  const document = app.swagger() as unknown as Document;
  const name = method === 'HEAD' ? 'get' : method.toLowerCase();
  const responses = pathOf(url, document)?.[name]?.responses;
  // What is no call of the document is refused by the router.
  if (responses === undefined) return;
  const listed = responses[answer.status] ?? document.components.responses['GeneralRefusal'];
  if (code in (listed?.content?.['application/problem+json']?.examples ?? {})) return;
  throw new Error(`the document does not say that ${method} ${url} can answer ${answer.status} ${code}`);
}

function pathOf(url: string, { paths }: Document) {
  const [path = ''] = url.replace(/^[a-z]+:\/\/[^/?]*/i, '').split('?');
  const parts = partsOf(path.replace(/^\/+api\/+v1(?=\/|$)/, ''));
  const fits = (template: string) => {
    const wanted = partsOf(template);
    return (
      wanted.length === parts.length &&
      wanted.every((part, index) => part.startsWith('{') || part === parts[index])
    );
  };
  // A path without a parameter is meant before one with one: `/orders/preview`, not `/orders/{id}`.
  const templates = Object.keys(paths).filter(fits);
  return paths[templates.find((template) => !template.includes('{')) ?? templates[0] ?? ''];
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}
