import { Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { IdParams, NoQuery, nullable, ref, Timestamp } from '../http/schemas.ts';
import { OrderStatusSchema } from './order.schemas.ts';

const Status = ref(OrderStatusSchema);

export const OrderTransitionSchema = Type.Object(
  {
    from: nullable(Status, { description: 'null for the order that was placed' }),
    to: Status,
    at: Timestamp,
    actor: Type.String(),
    cause: Type.String({ description: 'placed, request, expired, or the type of the payment event' }),
    version: Type.Integer({ description: 'Of the order, after it' }),
    request_id: nullable(Type.String()),
    refund_due: Type.Boolean(),
  },
  {
    $id: 'OrderTransition',
    examples: [
      {
        from: 'PENDING',
        to: 'CANCELED',
        at: '2026-01-02T03:19:06.012Z',
        actor: 'system',
        cause: 'expired',
        version: 2,
        request_id: null,
        refund_due: false,
      },
    ],
  },
);

export const getOrderHistory = {
  operationId: 'getOrderHistory',
  summary: 'Read every step of the life of an order, oldest first',
  tags: ['Orders'],
  params: IdParams,
  querystring: NoQuery,
  response: { 200: Type.Array(ref(OrderTransitionSchema)) },
  problems: ['order_not_found', 422, 503],
} satisfies FastifySchema;
