import { Type } from '@sinclair/typebox';

import { Id, oneOf, ref } from '../http/schemas.ts';
import { OrderStatusSchema } from '../orders/order.schemas.ts';

export const PaymentWebhookResult = Type.Object(
  {
    status: oneOf(['processed', 'ignored', 'review', 'already_processed'], {
      description: 'What the event did',
    }),
    order_id: Type.Optional(Id),
    new_status: Type.Optional(ref(OrderStatusSchema)),
    reason: Type.Optional(Type.String()),
    detail: Type.Optional(Type.String()),
    outcome: Type.Optional(Type.String({ description: 'What became of the first delivery' })),
  },
  {
    $id: 'PaymentWebhookResult',
    'x-example-names': ['processed', 'review', 'ignored', 'already_processed'],
    examples: [
      { status: 'processed', order_id: 1, new_status: 'PAID' },
      { status: 'review', reason: 'order_canceled', detail: 'The order is canceled', order_id: 1 },
      { status: 'ignored', reason: 'The order is paid already', order_id: 1 },
      { status: 'already_processed', order_id: 1, outcome: 'processed' },
    ],
  },
);
