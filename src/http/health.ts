import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';

import { AppError, problems, unavailable } from '../lib/errors.ts';
import type { Metrics } from '../lib/metrics.ts';
import { problemResponses, oneOf } from './schemas.ts';

export interface Readiness {
  /** Resolves when the database answers and knows every migration; throws otherwise. */
  check(): Promise<void>;
  /** True from the signal to stop on, so that no new work is sent here. */
  isDraining(): boolean;
}

const tags = ['General'];
const Health = Type.Object({ status: Type.Literal('healthy'), service: Type.Literal('orders-inventory') });
const Liveness = Type.Object({ status: Type.Literal('alive') });
const Ready = Type.Object({ status: Type.Literal('ready') });
const problemCodes = Object.keys(problems) as (keyof typeof problems)[];
const ProblemParams = Type.Object({ code: oneOf(problemCodes) });
const ProblemType = Type.Object({ code: Type.String(), title: Type.String(), status: Type.Integer() });

/** What operators and load balancers ask. None of it needs the database but `/readyz`. */
export const generalRoutes: FastifyPluginAsyncTypebox<{ readiness: Readiness; metrics: Metrics }> = async (
  app,
  { readiness, metrics },
) => {
  const health: Static<typeof Health> = { status: 'healthy', service: 'orders-inventory' };
  app.get(
    '/health',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Say that the service is up',
        tags,
        response: { 200: { ...Health, examples: [health] }, ...problemResponses(503) },
      },
    },
    async () => health,
  );

  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getLiveness',
        summary: 'Liveness: restart the process when this fails',
        tags,
        response: { 200: Liveness, ...problemResponses(503) },
      },
    },
    async () => ({ status: 'alive' as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Readiness: send no requests while this fails',
        description: 'Checks the database and its migrations; 503 while the service drains.',
        tags,
        response: { 200: Ready, ...problemResponses(503) },
      },
    },
    async () => {
      if (readiness.isDraining()) throw unavailable('The service is stopping');
      await readiness.check();
      return { status: 'ready' as const };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics in the text format of Prometheus',
        tags,
        response: {
          200: { description: 'Metrics', content: { 'text/plain': { schema: Type.String() } } },
          ...problemResponses(503),
        },
      },
    },
    async (_request, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );

  app.get(
    '/problems/:code',
    {
      schema: {
        operationId: 'getProblemType',
        summary: 'Explain the type of a problem document',
        tags,
        params: ProblemParams,
        response: { 200: ProblemType, ...problemResponses(404, 422) },
      },
    },
    async (request) => {
      const { code } = request.params;
      if (!Object.hasOwn(problems, code)) throw new AppError('not_found', 'There is no such problem');
      return { code, ...problems[code] };
    },
  );
};
