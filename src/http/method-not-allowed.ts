import type { FastifyInstance, HTTPMethods } from 'fastify';

import { AppError } from '../lib/errors.ts';

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/**
 * Answers 405 with Allow where the path is known and the method is not. Fastify takes such a request for an unknown
 * path, so the missing methods of every path become routes of their own. Call it before the first route; the returned
 * function adds the missing ones, after the last.
 */
export function trackMethods(app: FastifyInstance): () => void {
  const methodsByUrl = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByUrl.get(url) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    methodsByUrl.set(url, methods);
  });
  return () => {
    // A snapshot: the routes that are added here come by the hook, too.
    for (const [url, methods] of Array.from(methodsByUrl)) {
      if (!url.includes('*')) addMissing(app, url, methods);
    }
  };
}

function addMissing(app: FastifyInstance, url: string, known: ReadonlySet<string>): void {
  const missing = METHODS.filter((method) => !known.has(method));
  const allow = [...known].toSorted().join(', ');
  const refuse = async () => {
    throw new AppError('method_not_allowed', `This path takes ${allow}`, { headers: { allow } });
  };
  // In onRequest, before any body is read: the method is wrong whatever the body says.
  app.route({ method: missing, url, onRequest: refuse, handler: refuse, schema: { hide: true } });
}
