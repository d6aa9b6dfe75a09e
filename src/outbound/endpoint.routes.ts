import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { listPage } from '../http/pages.ts';
import { sendVersioned } from '../http/preconditions.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendChanged, sendOnce } from '../http/send-once.ts';
import { toReadyAnswer } from '../lib/ready-answer.ts';
import * as schemas from './endpoint.schemas.ts';
import type { EndpointService } from './endpoint.service.ts';

export const endpointRoutes: FastifyPluginAsyncTypebox<{ endpoints: EndpointService }> = async (
  app,
  { endpoints },
) => {
  const creating = { schema: schemas.createEndpoint, config: routeConfig('admin', 'write') };
  app.post('/webhook-endpoints', creating, async (request, reply) => {
    const { url, types = null, ordering = 'per_aggregate', description = null } = request.body;
    const command = { url, types, ordering, description };
    const context = contextOf(request, { key: { route: '/webhook-endpoints', command } });
    const created = await endpoints.create(command, context);
    const location = `/webhook-endpoints/${created.result.id}`;
    return sendOnce(reply.header('cache-control', 'no-store'), created, { status: 201, location });
  });

  const listing = { schema: schemas.listEndpoints, config: routeConfig('admin', 'scan') };
  app.get('/webhook-endpoints', listing, async (request, reply) =>
    listPage(request, reply, (page) => endpoints.list(page)),
  );

  const reading = { schema: schemas.getEndpoint, config: routeConfig('admin', 'point') };
  app.get('/webhook-endpoints/:id', reading, async (request, reply) =>
    sendVersioned(reply, request.headers, toReadyAnswer(await endpoints.get(request.params.id))),
  );

  const editing = { schema: schemas.updateEndpoint, config: routeConfig('admin', 'write') };
  app.patch('/webhook-endpoints/:id', editing, async (request, reply) => {
    const context = contextOf(request, { ifMatch: true });
    return sendChanged(reply, await endpoints.edit(request.params.id, request.body, context));
  });

  const deleting = { schema: schemas.deleteEndpoint, config: routeConfig('admin', 'write') };
  app.delete('/webhook-endpoints/:id', deleting, async (request, reply) => {
    await endpoints.remove(request.params.id, contextOf(request, { ifMatch: true }));
    return reply.code(204).send(null);
  });

  const rotating = { schema: schemas.rotateSecret, config: routeConfig('admin', 'write') };
  app.post('/webhook-endpoints/:id/rotate', rotating, async (request, reply) => {
    const { id } = request.params;
    const key = { route: `/webhook-endpoints/${id}/rotate`, command: {} };
    const rotated = await endpoints.rotate(id, contextOf(request, { key, ifMatch: true }));
    return sendOnce(reply.header('cache-control', 'no-store'), rotated, { status: 200 });
  });
};
