import type { FastifyInstance } from 'fastify';

/**
 * The least that a caller must be to use a route. `public` needs no key: liveness probes and pages of documentation, and
 * webhooks, which are signed instead.
 */
export type Role = 'public' | 'reader' | 'writer' | 'admin';

/**
 * What a call costs the service, for limits by class: `exempt` never reaches the database or shares one answer a second,
 * `point` reads single rows by id, `scan` searches, lists or sums, `write` changes rows, `order` places an order.
 */
export type Cost = 'exempt' | 'point' | 'scan' | 'write' | 'order';

export interface RouteConfig {
  role: Role;
  cost: Cost;
  /** From the end of the head of a request to the end of its answer. */
  deadlineMs: number;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    role?: Role;
    cost?: Cost;
    deadlineMs?: number;
  }
  interface FastifyInstance {
    /** Every route with what it declares, in the order of registration. */
    routeTable: readonly DeclaredRoute[];
  }
}

export interface DeclaredRoute {
  readonly methods: readonly string[];
  readonly url: string;
  readonly config: Partial<RouteConfig>;
}

/** The top of the ladder of timeouts (db/database.ts): the whole of a usual request. */
export const DEADLINE_MS = 8000;
/** A page of documentation has a megabyte of script; a slow connection (10 KB/s) takes that long to fetch it. */
export const DOWNLOAD_DEADLINE_MS = 120_000;

/** A route's `config`. Fastify writes the method and the path into it, so each route needs an object of its own. */
export function routeConfig(role: Role, cost: Cost, deadlineMs = DEADLINE_MS): RouteConfig {
  // The deadline plugin looks only at requests that are older than the usual deadline.
  if (deadlineMs < DEADLINE_MS) throw new Error(`a deadline must be ${DEADLINE_MS} ms at least`);
  return { role, cost, deadlineMs };
}

/** Collects the route table. Call it before the first route. */
export function collectRoutes(app: FastifyInstance): void {
  const table: DeclaredRoute[] = [];
  app.decorate('routeTable', table);
  app.addHook('onRoute', (route) => {
    // Read when it is asked for: the hook of a plugin that declares for all of its routes runs after this one.
    const declared = { methods: [route.method].flat(), url: route.url };
    table.push({
      ...declared,
      get config() {
        return route.config ?? {};
      },
    });
  });
}
