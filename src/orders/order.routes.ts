import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { idempotencyKeyOf } from '../http/idempotency-key.ts';
import { sendPage } from '../http/pages.ts';
import { ifMatchOf, sendVersioned } from '../http/preconditions.ts';
import { callerOf } from '../http/request-context.ts';
import { toEtag } from '../lib/versions.ts';
import { orderCommand, toNewOrder, toOrderFilter } from './order-input.ts';
import * as schemas from './order.schemas.ts';
import type { OrderService } from './order.service.ts';

export const orderRoutes: FastifyPluginAsyncTypebox<{ orders: OrderService }> = async (app, { orders }) => {
  app.post('/orders', { schema: schemas.createOrder }, async (request, reply) => {
    const order = toNewOrder(request.body);
    if (request.query.dry_run === true) return reply.code(200).send(await orders.preview(order));
    const key = idempotencyKeyOf(request.headers, '/orders', orderCommand(order));
    const { result: placed, replayed } = await orders.place(order, callerOf(request), key);
    if (replayed) reply.header('idempotency-replayed', 'true');
    reply.header('location', `${app.prefix}/orders/${placed.id}`);
    return reply.code(201).header('etag', toEtag(placed.version)).send(placed);
  });

  app.post('/orders/preview', { schema: schemas.previewOrder }, async (request, reply) =>
    reply.send(await orders.preview(toNewOrder(request.body))),
  );

  app.get('/orders', { schema: schemas.listOrders }, async (request, reply) => {
    const { limit, skip, sort, cursor } = request.query;
    const page = { limit, skip, sort, cursor };
    return sendPage(request, reply, await orders.list(toOrderFilter(request.query), page));
  });

  app.get('/orders/:id', { schema: schemas.getOrder }, async (request, reply) =>
    sendVersioned(reply, request.headers, await orders.get(request.params.id)),
  );

  app.get('/orders/:id/history', { schema: schemas.getOrderHistory }, async (request, reply) =>
    reply.send(await orders.history(request.params.id)),
  );

  for (const { method, url, operationId } of [
    { method: 'PUT', url: '/orders/:id', operationId: 'putOrderStatus' },
    { method: 'PATCH', url: '/orders/:id/status', operationId: 'changeOrderStatus' },
  ] as const) {
    app.route({
      method,
      url,
      schema: schemas.changeStatus(operationId),
      handler: async (request, reply) => {
        const ifMatch = ifMatchOf(request.headers);
        const { id } = request.params;
        const order = await orders.changeStatus(id, request.body.status, callerOf(request), ifMatch);
        return reply.header('etag', toEtag(order.version)).send(order);
      },
    });
  }

  app.delete('/orders/:id', { schema: schemas.cancelOrder }, async (request, reply) => {
    const { id } = request.params;
    await orders.changeStatus(id, 'CANCELED', callerOf(request), ifMatchOf(request.headers));
    return reply.code(204).send(null);
  });
};
