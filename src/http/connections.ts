import type { FastifyInstance } from 'fastify';

import type { TrafficMetrics } from '../lib/metrics.ts';

/** Closes connections past a number unheard: those that are open go on being served. */
export function limitConnections(
  app: FastifyInstance,
  maxConnections: number,
  metrics: TrafficMetrics,
): void {
  app.server.maxConnections = maxConnections;
  app.server.on('drop', () => metrics.connectionsDropped.inc());
}
