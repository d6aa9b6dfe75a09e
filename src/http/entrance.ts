import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { prefixOf } from './api-prefix.ts';
import { prefersHtml, wayToRoot } from './page-layout.ts';
import { routeConfig } from './route-config.ts';
import { ref } from './schemas.ts';

const Link = Type.String({ format: 'uri-reference' });

export const EntranceSchema = Type.Object(
  {
    service: Type.Literal('orders-inventory'),
    version: Type.String(),
    links: Type.Object({
      products: Link,
      orders: Link,
      health: Link,
      problems: Link,
      openapi: Link,
      docs: Link,
      redoc: Link,
    }),
  },
  { $id: 'Entrance', examples: [describeEntrance('')] },
);

const getEntrance = {
  operationId: 'getEntrance',
  summary: 'Say what this is, and where everything is',
  description: 'A browser is led to the pages instead.',
  tags: ['General'],
  response: {
    200: ref(EntranceSchema),
    303: { type: 'null', description: 'For a browser: to the page for people' },
  },
  problems: [503],
} satisfies FastifySchema;

export const entranceRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', { schema: getEntrance, config: routeConfig('public', 'exempt') }, async (request, reply) => {
    reply.header('vary', 'accept');
    if (prefersHtml(request)) return reply.redirect(`${wayToRoot(request)}docs/`, 303);
    return reply.send(describeEntrance(prefixOf(request)));
  });
};

function describeEntrance(prefix: string) {
  return {
    service: 'orders-inventory' as const,
    version: '1.0.0',
    links: {
      products: `${prefix}/products`,
      orders: `${prefix}/orders`,
      health: `${prefix}/health`,
      problems: `${prefix}/problems`,
      openapi: '/openapi.json',
      docs: '/docs/',
      redoc: '/redoc',
    },
  };
}
