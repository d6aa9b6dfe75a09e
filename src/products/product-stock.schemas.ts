import { Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { page } from '../http/answers.ts';
import {
  PeriodStart,
  Id,
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  NoQuery,
  nullableText,
  oneOf,
  pageQuery,
  ref,
  text,
  Timestamp,
  PeriodEnd,
} from '../http/schemas.ts';
import { movementExample, MovementSchema } from '../inventory/movement.schemas.ts';
import { movementKinds, STOCK_MAX } from '../inventory/stock-book.ts';

const tags = ['Inventory'];

export const ListMovementsQuery = Type.Object(
  {
    kind: Type.Optional(oneOf(movementKinds, { examples: ['shipped'] })),
    order_id: Type.Optional({ ...Id, description: 'Movements of this order', examples: [1] }),
    created_from: PeriodStart,
    created_to: PeriodEnd,
    ...pageQuery('newest first'),
  },
  { additionalProperties: false },
);

export const AdjustStockBody = Type.Object(
  {
    delta: Type.Integer({ minimum: -STOCK_MAX, maximum: STOCK_MAX, not: { const: 0 } }),
    kind: Type.Optional(
      oneOf(['received', 'adjusted'], {
        description: 'received: goods came in, so delta is above 0. adjusted, the default: any other change',
      }),
    ),
    reason: text(1, 100, { 'x-text': 'visible', description: 'In your words: damaged, lost, counted, …' }),
    note: Type.Optional(nullableText(2000, { minLength: 1, 'x-text': 'visible' })),
  },
  {
    $id: 'AdjustStock',
    additionalProperties: false,
    'x-example-names': ['received', 'damage'],
    if: { properties: { kind: { const: 'received' } }, required: ['kind'] },
    then: { properties: { delta: { type: 'integer', minimum: 1 } }, additionalProperties: true },
    examples: [
      { delta: 50, kind: 'received', reason: 'restock', note: 'Purchase order 4711' },
      { delta: -2, reason: 'damaged', note: 'Fell off the shelf' },
    ],
  },
);

export const AdjustedStockSchema = Type.Object(
  {
    movement: ref(MovementSchema),
    stock: Type.Integer({ description: 'What can be sold now' }),
    reserved: Type.Integer(),
    on_hand: Type.Integer(),
    version: Type.Integer({ description: 'Of the product; the ETag' }),
  },
  {
    $id: 'AdjustedStock',
    examples: [{ movement: movementExample, stock: 95, reserved: 3, on_hand: 98, version: 5 }],
  },
);

export const ExplainStockQuery = Type.Object(
  {
    as_of: Type.Optional({
      ...Timestamp,
      description: 'A time that is past; without it, now',
      examples: ['2026-01-02T03:04:05.678Z'],
    }),
  },
  { additionalProperties: false },
);

export const StockExplanationSchema = Type.Object(
  {
    product_id: Id,
    sku: Type.String({ description: 'As it is now, or was when the product was deleted' }),
    as_of: Timestamp,
    on_hand: Type.Object(
      { total: Type.Integer(), received: Type.Integer(), adjusted: Type.Integer(), shipped: Type.Integer() },
      { description: 'total = received + adjusted - shipped' },
    ),
    reserved: Type.Object({
      total: Type.Integer(),
      orders: Type.Array(Type.Object({ order_id: Id, quantity: Type.Integer() }), {
        description: 'The 100 newest orders that hold some of it, the newest first',
      }),
      other_orders: Type.Object(
        { count: Type.Integer(), quantity: Type.Integer() },
        { description: 'Those that are not listed' },
      ),
    }),
    stock: Type.Integer({ description: 'on_hand.total - reserved.total' }),
    stored: Type.Object(
      { on_hand: Type.Integer(), reserved: Type.Integer() },
      {
        description:
          'The counters of the product; of a time in the past, and of a deleted product, those that the last movement recorded',
      },
    ),
    matches: Type.Boolean({ description: 'Whether what the ledger adds up to is what is stored' }),
  },
  {
    $id: 'StockExplanation',
    examples: [
      {
        product_id: 1,
        sku: 'MUG-BLUE',
        as_of: '2026-01-02T03:04:05.678Z',
        on_hand: { total: 98, received: 150, adjusted: -2, shipped: 50 },
        reserved: {
          total: 3,
          orders: [
            { order_id: 9, quantity: 2 },
            { order_id: 7, quantity: 1 },
          ],
          other_orders: { count: 0, quantity: 0 },
        },
        stock: 95,
        stored: { on_hand: 98, reserved: 3 },
        matches: true,
      },
    ],
  },
);

export const productStockSchemas = [AdjustStockBody, AdjustedStockSchema, StockExplanationSchema];

export const listMovements = {
  operationId: 'listStockMovements',
  summary: "List the movements of a product's stock, newest first",
  description:
    'Every change of stock is one line of this ledger, and no line is ever changed or deleted: a deleted product keeps ' +
    'its ledger.',
  tags,
  params: IdParams,
  querystring: ListMovementsQuery,
  response: page(MovementSchema, '/products/1/stock/movements'),
  problems: ['product_not_found', 422, 503],
} satisfies FastifySchema;

export const adjustStock = {
  operationId: 'adjustStock',
  summary: 'Change the stock of a product by a number of pieces',
  description:
    'Adds `delta` to what is on hand, whatever others add at the same time. It may take what can be sold, but nothing ' +
    `that orders hold (409), and no more than ${STOCK_MAX} may be on hand (422).`,
  tags,
  params: IdParams,
  headers: Type.Composite([IdempotencyHeaders, IfMatchHeaders]),
  querystring: NoQuery,
  body: ref(AdjustStockBody),
  response: { 201: ref(AdjustedStockSchema) },
  problems: [
    400,
    'product_not_found',
    'insufficient_stock',
    'idempotency_key_reused',
    'idempotency_key_in_progress',
    'version_mismatch',
    413,
    415,
    422,
    'stock_out_of_range',
    503,
  ],
} satisfies FastifySchema;

export const explainStock = {
  operationId: 'explainStock',
  summary: 'Explain the stock of a product from its ledger',
  description:
    'What is on hand is what was received, plus or minus what was adjusted, minus what was shipped; what is reserved is ' +
    'held by these orders. `matches` says whether that is what is stored. With `as_of`, the same at that time: the ' +
    'ledger before the first movement that is later. Before its first movement, a product has 0 of everything, also ' +
    'before it was created. A deleted product has what its last movement left. A time that is still to come is 422.',
  tags,
  params: IdParams,
  querystring: ExplainStockQuery,
  response: { 200: ref(StockExplanationSchema) },
  problems: ['product_not_found', 422, 503],
} satisfies FastifySchema;
