import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { unavailable } from '../lib/errors.ts';
import { METRICS_TYPE } from '../lib/metrics.ts';
import { routeConfig } from './route-config.ts';
import * as schemas from './health.schemas.ts';

export interface Readiness {
  /** Resolves when the database answers and has run every migration; throws otherwise. */
  readonly check: () => Promise<void>;
  /** True from the signal to stop on, so that no new work is sent here. */
  readonly isDraining: () => boolean;
}

export interface GeneralRoutesOptions {
  readiness: Readiness;
  /** All metrics as text. */
  readMetrics: () => Promise<string>;
}

/** What operators and load balancers ask. Only `/readyz` needs the database. */
export const generalRoutes: FastifyPluginAsyncTypebox<GeneralRoutesOptions> = async (
  app,
  { readiness, readMetrics },
) => {
  app.get('/health', { schema: schemas.getHealth, config: routeConfig('public', 'exempt') }, async () => ({
    status: 'healthy' as const,
    service: 'orders-inventory' as const,
  }));

  app.get('/healthz', { schema: schemas.getLiveness, config: routeConfig('public', 'exempt') }, async () => ({
    status: 'alive' as const,
  }));

  app.get('/readyz', { schema: schemas.getReadiness, config: routeConfig('public', 'exempt') }, async () => {
    if (readiness.isDraining()) throw unavailable('The service is stopping');
    await readiness.check();
    return { status: 'ready' as const };
  });

  app.get(
    '/metrics',
    { schema: schemas.getMetrics, config: routeConfig('admin', 'exempt') },
    async (_request, reply) => reply.type(METRICS_TYPE).send(await readMetrics()),
  );
};
