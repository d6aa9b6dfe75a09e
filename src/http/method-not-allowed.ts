import type { FastifyInstance, FastifyRequest } from 'fastify';

import { AppError } from '../lib/errors.ts';
import { shorten } from '../lib/shorten.ts';

/**
 * Answers 405 with Allow where the path is known and the method is not, and 404 where the path is unknown. Fastify
 * takes both for the same. The answer does not wait for a body, because no body can make a wrong path or method right. Call this
 * before the first route, so that it learns of all of them.
 */
export function refuseUnknownCalls(app: FastifyInstance): void {
  const known = new KnownPaths();
  app.addHook('onRoute', ({ url, method }) => known.add(url, [method].flat()));
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.is404) return done();
    // The asterisk asks for the server as a whole (RFC 9110, 9.3.7).
    if (request.method === 'OPTIONS' && request.raw.url === '*') {
      void reply.code(204).header('allow', known.allMethods()).send();
      return undefined;
    }
    return done(known.refusalOf(request));
  });
  // For a plugin that finds nothing below a path of its own.
  app.setNotFoundHandler((request) => {
    throw notFound(request);
  });
}

/** Every path of the service with its methods. Looked through for refusals only, so one by one is fast enough. */
class KnownPaths {
  readonly #methods = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  add(url: string, methods: readonly string[]): void {
    // A wildcard is a plugin's own way to say what it knows.
    if (url.includes('*')) return;
    const entry = this.#methods.get(url) ?? { pattern: patternOf(url), methods: new Set() };
    for (const method of methods) entry.methods.add(method);
    this.#methods.set(url, entry);
  }

  refusalOf(request: FastifyRequest): AppError {
    const path = pathOf(request.url);
    const found = [...this.#methods.values()].filter(({ pattern }) => pattern.test(path));
    if (found.length === 0) return notFound(request);
    const allow = listed(found.flatMap(({ methods }) => [...methods]));
    return new AppError('method_not_allowed', `This path takes ${allow}`, { headers: { allow } });
  }

  allMethods(): string {
    return listed([...this.#methods.values()].flatMap(({ methods }) => [...methods]));
  }
}

function listed(methods: readonly string[]): string {
  return [...new Set(methods)].toSorted().join(', ');
}

function patternOf(url: string): RegExp {
  const escaped = url.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replace(/\/$/, '');
  return new RegExp(`^${escaped.replaceAll(/:\w+/g, '[^/]+')}$`);
}

/** The path as the router reads it: without a host, a query, doubled slashes, a slash at its end and escapes. */
function pathOf(url: string): string {
  const [path = ''] = url.replace(/^https?:\/\/[^/?]*/i, '').split('?');
  const plain = path.replaceAll(/\/{2,}/g, '/').replace(/\/$/, '');
  try {
    return decodeURI(plain);
  } catch {
    return plain;
  }
}

function notFound({ method, originalUrl }: FastifyRequest): AppError {
  return new AppError('not_found', `There is nothing at ${method} ${shorten(pathOf(originalUrl) || '/')}`);
}
