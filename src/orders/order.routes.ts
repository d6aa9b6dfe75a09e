import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { idempotencyKeyOf } from '../http/idempotency-key.ts';
import { prefixOf, sendPage } from '../http/pages.ts';
import { ifMatchOf, sendVersioned } from '../http/preconditions.ts';
import { callerOf } from '../http/request-context.ts';
import {
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  IfNoneMatchHeaders,
  NoQuery,
  problemResponses,
  ref,
} from '../http/schemas.ts';
import { toEtag } from '../lib/versions.ts';
import { toNewOrder, toOrderFilter } from './order-input.ts';
import {
  ChangeStatusBody,
  CreateOrderBody,
  CreateOrderQuery,
  ListOrdersQuery,
  OrderHistorySchema,
  OrderPreviewSchema,
  OrderSchema,
} from './order.schemas.ts';
import type { OrderService } from './order.service.ts';
import { describeTransitions } from './order-state.ts';

const tags = ['Orders'];

export const orderRoutes: FastifyPluginAsyncTypebox<{ orders: OrderService }> = async (app, { orders }) => {
  app.post(
    '/orders',
    {
      schema: {
        operationId: 'createOrder',
        summary: 'Place an order',
        description: 'Reserves the stock of every item, or of none. Prices are those of this moment.',
        tags,
        headers: IdempotencyHeaders,
        querystring: CreateOrderQuery,
        body: ref(CreateOrderBody),
        response: {
          200: ref(OrderPreviewSchema),
          201: ref(OrderSchema),
          ...problemResponses(400, 404, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const order = toNewOrder(request.body);
      if (request.query.dry_run === true) return reply.code(200).send(await orders.preview(order));
      const key = idempotencyKeyOf(request.headers, '/orders', order);
      const { result: placed, replayed } = await orders.place(order, callerOf(request), key);
      if (replayed) reply.header('idempotency-replayed', 'true');
      reply.header('location', `${prefixOf(request)}/orders/${placed.id}`);
      return reply.code(201).header('etag', toEtag(placed.version)).send(placed);
    },
  );

  app.get(
    '/orders',
    {
      schema: {
        operationId: 'listOrders',
        summary: 'List orders, newest first',
        tags,
        querystring: ListOrdersQuery,
        response: { 200: { type: 'array', items: ref(OrderSchema) }, ...problemResponses(422, 503) },
      },
    },
    async (request, reply) => {
      const { limit, skip, sort, cursor } = request.query;
      const page = { limit, skip, sort, cursor };
      return sendPage(request, reply, await orders.list(toOrderFilter(request.query), page));
    },
  );

  app.get(
    '/orders/:id',
    {
      schema: {
        operationId: 'getOrder',
        summary: 'Read an order',
        tags,
        params: IdParams,
        headers: IfNoneMatchHeaders,
        querystring: NoQuery,
        response: { 200: ref(OrderSchema), ...problemResponses(404, 422, 503) },
      },
    },
    async (request, reply) => sendVersioned(reply, request.headers, await orders.get(request.params.id)),
  );

  app.get(
    '/orders/:id/history',
    {
      schema: {
        operationId: 'getOrderHistory',
        summary: 'Read every step of the life of an order, oldest first',
        tags,
        params: IdParams,
        querystring: NoQuery,
        response: { 200: OrderHistorySchema, ...problemResponses(404, 422, 503) },
      },
    },
    async (request, reply) => reply.send(await orders.history(request.params.id)),
  );

  for (const { method, url, operationId } of [
    { method: 'PUT', url: '/orders/:id', operationId: 'putOrder' },
    { method: 'PATCH', url: '/orders/:id/status', operationId: 'patchOrderStatus' },
  ] as const) {
    app.route({
      method,
      url,
      schema: {
        operationId,
        summary: 'Move an order to another state',
        description: `${describeTransitions()}. Shipping takes the stock, canceling gives it back.`,
        tags,
        params: IdParams,
        headers: IfMatchHeaders,
        querystring: NoQuery,
        body: ref(ChangeStatusBody),
        response: { 200: ref(OrderSchema), ...problemResponses(400, 404, 412, 413, 415, 422, 503) },
      },
      handler: async (request, reply) => {
        const ifMatch = ifMatchOf(request.headers);
        const { id } = request.params;
        const order = await orders.changeStatus(id, request.body.status, callerOf(request), ifMatch);
        return reply.header('etag', toEtag(order.version)).send(order);
      },
    });
  }

  app.delete(
    '/orders/:id',
    {
      schema: {
        operationId: 'cancelOrder',
        summary: 'Cancel an order',
        description: 'Gives the stock back. Orders are never erased; this one stays, as CANCELED.',
        tags,
        params: IdParams,
        headers: IfMatchHeaders,
        querystring: NoQuery,
        response: {
          204: { type: 'null', description: 'Canceled' },
          ...problemResponses(400, 404, 412, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await orders.changeStatus(id, 'CANCELED', callerOf(request), ifMatchOf(request.headers));
      return reply.code(204).send(null);
    },
  );
};
