import { Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

const tags = ['General'];

const Health = Type.Object(
  { status: Type.Literal('healthy'), service: Type.Literal('orders-inventory') },
  { examples: [{ status: 'healthy', service: 'orders-inventory' }] },
);
const Liveness = Type.Object({ status: Type.Literal('alive') }, { examples: [{ status: 'alive' }] });
const Ready = Type.Object({ status: Type.Literal('ready') }, { examples: [{ status: 'ready' }] });

const MetricsText = Type.String({
  examples: ['# HELP inventory_drift_units …\n# TYPE inventory_drift_units gauge\ninventory_drift_units 0\n'],
});

export const getHealth = {
  operationId: 'getHealth',
  summary: 'Say that the service is up',
  tags,
  response: { 200: Health },
  problems: [503],
} satisfies FastifySchema;

export const getLiveness = {
  operationId: 'getLiveness',
  summary: 'Liveness: restart the process when this fails',
  tags,
  response: { 200: Liveness },
  problems: [503],
} satisfies FastifySchema;

export const getReadiness = {
  operationId: 'getReadiness',
  summary: 'Readiness: send no requests while this fails',
  description: 'Checks the database and its migrations; 503 while the service drains.',
  tags,
  response: { 200: Ready },
  problems: [503],
} satisfies FastifySchema;

export const getMetrics = {
  operationId: 'getMetrics',
  summary: 'Metrics in the text format of Prometheus',
  tags,
  response: { 200: { description: 'Metrics', content: { 'text/plain': { schema: MetricsText } } } },
  problems: [503],
} satisfies FastifySchema;
