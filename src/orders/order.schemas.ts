import { Type } from '@sinclair/typebox';

import type { FastifySchema } from 'fastify';

import { created, page } from '../http/answers.ts';
import {
  PeriodStart,
  Id,
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  IfNoneMatchHeaders,
  NoQuery,
  nullableText,
  oneOf,
  PriceInput,
  pageQuery,
  QUANTITY_MAX,
  ref,
  Timestamp,
  PeriodEnd,
} from '../http/schemas.ts';
import type { Refusal } from '../http/problem.schemas.ts';
import { describeTransitions, orderStatuses } from './order-state.ts';

const tags = ['Orders'];

export const OrderStatusSchema = oneOf(orderStatuses, {
  $id: 'OrderStatus',
  description: describeTransitions(),
});
const Status = ref(OrderStatusSchema);
const Quantity = Type.Integer({ minimum: 1, maximum: QUANTITY_MAX });
/**
 * A form check, not a proof: one @ between two parts without blanks and without what only the text around an address
 * has, such as < and >. 254 is the longest address that mail can carry.
 */
const email = {
  maxLength: 254,
  pattern: String.raw`^[^\s@<>\(\)\[\],;:"\\\x00-\x1f\x7f]+@[^\s@<>\(\)\[\],;:"\\\x00-\x1f\x7f]+$`,
  'x-text': 'normal',
  'x-message': 'must be an e-mail address',
  'x-fix': 'Send the address alone, such as ada@example.com.',
} as const;
const Email = Type.String(email);
const NullableTime = Type.Union([Timestamp, Type.Null()]);

const preview = {
  status: 'PENDING',
  items: [{ product_id: 1, sku: 'MUG-BLUE', quantity: 2, unit_price: 29.99 }],
  total: 59.98,
  currency: 'USD',
  amount_paid: 0,
  amount_refunded: 0,
  customer_email: 'ada@example.com',
  version: 1,
  expires_at: '2026-01-02T03:19:05.678Z',
  created_at: '2026-01-02T03:04:05.678Z',
  updated_at: '2026-01-02T03:04:05.678Z',
  product_id: 1,
  quantity: 2,
};
const example = { id: 1, ...preview };

export const OrderItemSchema = Type.Object(
  {
    product_id: Id,
    sku: Type.String({ description: 'As it was when the order was placed' }),
    quantity: Type.Integer(),
    unit_price: Type.Number({ description: 'As it was when the order was placed' }),
  },
  { $id: 'OrderItem', examples: preview.items },
);

const orderFields = {
  status: Status,
  items: Type.Array(ref(OrderItemSchema)),
  total: Type.Number(),
  currency: Type.String({ description: 'That of the shop (ISO 4217)' }),
  amount_paid: Type.Number({ description: 'The sum of all that was captured for it' }),
  amount_refunded: Type.Number({ description: 'The sum of all that went back' }),
  customer_email: Type.Union([Type.String(), Type.Null()]),
  version: Type.Integer({ description: 'Raised by every change; the ETag' }),
  expires_at: {
    ...NullableTime,
    description:
      'When it is canceled by itself unless it is paid before; null: never. It stays as it is on an order that was paid',
  },
  created_at: Timestamp,
  updated_at: Timestamp,
  refund_due: Type.Optional(
    Type.Literal(true, { description: 'Only on a canceled order for which the shop still holds money' }),
  ),
  product_id: Type.Optional({ ...Id, description: 'Only with exactly one item' }),
  quantity: Type.Optional(Type.Integer({ description: 'Only with exactly one item' })),
};

export const OrderSchema = Type.Object({ id: Id, ...orderFields }, { $id: 'Order', examples: [example] });

export const OrderPreviewSchema = Type.Object(orderFields, {
  $id: 'OrderPreview',
  description: 'What the order would be; it has no id, because nothing was placed',
  examples: [preview],
});

export const CreateOrderItemBody = Type.Object(
  { product_id: Id, quantity: Quantity },
  { $id: 'CreateOrderItem', additionalProperties: false, examples: [{ product_id: 1, quantity: 2 }] },
);

export const CreateOrderBody = Type.Object(
  {
    product_id: Type.Optional(Id),
    quantity: Type.Optional(Quantity),
    items: Type.Optional(
      Type.Array(ref(CreateOrderItemBody), {
        minItems: 1,
        maxItems: 100,
        description: 'Each product once',
        'x-unique-by': 'product_id',
      }),
    ),
    customer_email: Type.Optional(nullableText(email.maxLength, email)),
    expected_total: Type.Optional(PriceInput),
  },
  {
    $id: 'CreateOrder',
    additionalProperties: false,
    description: 'Either product_id and quantity, or items; never both',
    'x-either': [['product_id', 'quantity'], ['items']],
    'x-example-names': ['one_product', 'several_products'],
    examples: [
      { product_id: 1, quantity: 2, customer_email: 'ada@example.com' },
      {
        items: [
          { product_id: 1, quantity: 2 },
          { product_id: 2, quantity: 1 },
        ],
      },
    ],
  },
);

/** An older spelling of `POST /orders/preview`. */
export const CreateOrderQuery = Type.Object(
  { dry_run: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);

export const ChangeStatusBody = Type.Object(
  { status: Status },
  {
    $id: 'ChangeStatus',
    additionalProperties: false,
    'x-example-names': ['paid', 'shipped', 'canceled'],
    examples: [{ status: 'PAID' }, { status: 'SHIPPED' }, { status: 'CANCELED' }],
  },
);

export const ListOrdersQuery = Type.Object(
  {
    status: Type.Optional(oneOf(orderStatuses, { examples: ['PAID'] })),
    product_id: Type.Optional({ ...Id, description: 'Orders with this product', examples: [1] }),
    customer_email: Type.Optional({ ...Email, examples: ['ada@example.com'] }),
    created_from: PeriodStart,
    created_to: PeriodEnd,
    ...pageQuery('newest first'),
  },
  { additionalProperties: false },
);

/** Of an order, placed or not. */
const refusals: readonly Refusal[] = [
  400,
  'product_not_found',
  'insufficient_stock',
  'product_inactive',
  'total_changed',
  413,
  415,
  422,
  'total_out_of_range',
  503,
];

export const orderSchemas = [
  OrderStatusSchema,
  OrderItemSchema,
  OrderPreviewSchema,
  OrderSchema,
  CreateOrderItemBody,
  CreateOrderBody,
  ChangeStatusBody,
];

export const createOrder = {
  operationId: 'createOrder',
  summary: 'Place an order',
  description:
    'Of one product (product_id and quantity) or of many (items), never both. Reserves the stock of every item, or of ' +
    'none. Prices are those of this moment. Stock that only overdue orders hold (see expires_at) is released first and ' +
    'counts as there.',
  tags,
  headers: IdempotencyHeaders,
  querystring: CreateOrderQuery,
  body: ref(CreateOrderBody),
  response: {
    200: ref(OrderPreviewSchema),
    ...created(OrderSchema, '/orders/1'),
  },
  undocumented: { query: ['dry_run'], statuses: [200] },
  problems: [...refusals, 'idempotency_key_reused', 'idempotency_key_in_progress'],
} satisfies FastifySchema;

export const previewOrder = {
  operationId: 'previewOrder',
  summary: 'Say what an order would be, without placing it',
  description:
    'Takes the body of an order, and answers with the order that it would make now, or with what would refuse it. ' +
    'Nothing is reserved or written, so the next call may find another price or less stock: send its `total` along as ' +
    '`expected_total`. An Idempotency-Key is ignored.',
  tags,
  querystring: NoQuery,
  body: ref(CreateOrderBody),
  response: { 200: ref(OrderPreviewSchema) },
  problems: refusals,
} satisfies FastifySchema;

export const listOrders = {
  operationId: 'listOrders',
  summary: 'List orders, newest first',
  tags,
  querystring: ListOrdersQuery,
  response: page(OrderSchema, '/orders'),
  problems: [422, 503],
} satisfies FastifySchema;

export const getOrder = {
  operationId: 'getOrder',
  summary: 'Read an order',
  tags,
  params: IdParams,
  headers: IfNoneMatchHeaders,
  querystring: NoQuery,
  response: { 200: ref(OrderSchema) },
  problems: ['order_not_found', 422, 503],
} satisfies FastifySchema;

/** Both calls do the same, under names of their own. */
export function changeStatus(operationId: string) {
  return {
    operationId,
    summary: 'Move an order to another state',
    description:
      `${describeTransitions()}. Shipping takes the stock, canceling gives it back. ` +
      'An overdue order answers as the canceled one that it is.',
    tags,
    params: IdParams,
    headers: IfMatchHeaders,
    querystring: NoQuery,
    body: ref(ChangeStatusBody),
    response: { 200: ref(OrderSchema) },
    problems: ['invalid_status_transition', 400, 'order_not_found', 'version_mismatch', 413, 415, 422, 503],
  } satisfies FastifySchema;
}

export const cancelOrder = {
  operationId: 'cancelOrder',
  summary: 'Cancel an order',
  description: 'Gives the stock back. Orders are never erased; this one stays, as CANCELED.',
  tags,
  params: IdParams,
  headers: IfMatchHeaders,
  querystring: NoQuery,
  response: { 204: { type: 'null', description: 'Canceled' } },
  problems: ['invalid_status_transition', 400, 'order_not_found', 'version_mismatch', 422, 503],
} satisfies FastifySchema;
