import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { listPage } from '../http/pages.ts';
import { sendVersioned } from '../http/preconditions.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendChanged, sendOnce } from '../http/send-once.ts';
import { orderCommand, toNewOrder, toOrderFilter } from './order-input.ts';
import { getOrderHistory } from './order-history.schemas.ts';
import * as schemas from './order.schemas.ts';
import type { OrderService } from './order.service.ts';

export const orderRoutes: FastifyPluginAsyncTypebox<{ orders: OrderService }> = async (app, { orders }) => {
  const placing = { schema: schemas.createOrder, config: routeConfig('writer', 'order') };
  app.post('/orders', placing, async (request, reply) => {
    const order = toNewOrder(request.body);
    if (request.query.dry_run === true) return reply.code(200).send(await orders.preview(order));
    const context = contextOf(request, { key: { route: '/orders', command: orderCommand(order) } });
    const placed = await orders.place(order, context);
    return sendOnce(reply, placed, { status: 201, location: `/orders/${placed.result.id}` });
  });

  const previewing = { schema: schemas.previewOrder, config: routeConfig('reader', 'point') };
  app.post('/orders/preview', previewing, async (request, reply) =>
    reply.send(await orders.preview(toNewOrder(request.body))),
  );

  const listing = { schema: schemas.listOrders, config: routeConfig('reader', 'scan') };
  app.get('/orders', listing, async (request, reply) => {
    const filter = toOrderFilter(request.query);
    return listPage(request, reply, (page) => orders.list(filter, page));
  });

  const reading = { schema: schemas.getOrder, config: routeConfig('reader', 'point') };
  app.get('/orders/:id', reading, async (request, reply) =>
    sendVersioned(reply, request.headers, await orders.get(request.params.id)),
  );

  const readingHistory = { schema: getOrderHistory, config: routeConfig('reader', 'point') };
  app.get('/orders/:id/history', readingHistory, async (request, reply) =>
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
      config: routeConfig('writer', 'write'),
      handler: async (request, reply) => {
        const context = contextOf(request, { ifMatch: true });
        return sendChanged(reply, await orders.changeStatus(request.params.id, request.body.status, context));
      },
    });
  }

  const canceling = { schema: schemas.cancelOrder, config: routeConfig('writer', 'write') };
  app.delete('/orders/:id', canceling, async (request, reply) => {
    await orders.changeStatus(request.params.id, 'CANCELED', contextOf(request, { ifMatch: true }));
    return reply.code(204).send(null);
  });
};
