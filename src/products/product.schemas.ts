import { Type } from '@sinclair/typebox';

import type { FastifySchema } from 'fastify';

import { created, page } from '../http/answers.ts';
import {
  Id,
  IdempotencyHeaders,
  IdParams,
  IfMatchHeaders,
  IfNoneMatchHeaders,
  NoQuery,
  nullableText,
  pageQuery,
  PriceInput,
  QUANTITY_MAX,
  ref,
  text,
  Timestamp,
} from '../http/schemas.ts';

const tags = ['Products'];

const Sku = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: 'Unique, whatever its case',
  'x-message': 'must be 1 to 64 letters, digits, dots, underscores and hyphens',
  'x-fix': 'Send a SKU such as MUG-BLUE; it begins with a letter or a digit.',
});
const Name = text(1, 200, { 'x-text': 'visible' });
const Stock = Type.Integer({ minimum: 0, maximum: QUANTITY_MAX, description: 'What can be sold now' });
const thresholdMeans = '`stock.low` is written when what can be sold comes down to this; null: never';
const LowStockThreshold = Type.Unsafe<number | null>({
  type: ['integer', 'null'],
  minimum: 1,
  maximum: QUANTITY_MAX,
  description: thresholdMeans,
});
const NullableDescription = nullableText(2000);

const example = {
  id: 1,
  sku: 'MUG-BLUE',
  name: 'Blue mug',
  description: 'Holds 0.3 l',
  price: 29.99,
  stock: 98,
  reserved: 2,
  on_hand: 100,
  active: true,
  low_stock_threshold: 10,
  version: 3,
  created_at: '2026-01-02T03:04:05.678Z',
  updated_at: '2026-01-02T03:05:00.000Z',
};

export const ProductSchema = Type.Object(
  {
    id: Id,
    sku: Type.String(),
    name: Type.String(),
    description: Type.Union([Type.String(), Type.Null()]),
    price: Type.Number({ description: 'Two decimals at most' }),
    stock: Type.Integer({ description: 'What can still be sold: on_hand - reserved' }),
    reserved: Type.Integer({ description: 'Held by orders that are not shipped yet' }),
    on_hand: Type.Integer({ description: 'What is there, reserved or not' }),
    active: Type.Boolean({ description: 'Inactive products cannot be ordered' }),
    low_stock_threshold: Type.Union([Type.Integer(), Type.Null()], { description: thresholdMeans }),
    version: Type.Integer({ description: 'Raised by every change; the ETag' }),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { $id: 'Product', examples: [example] },
);

/** What callers may set. */
const fields = {
  sku: Sku,
  name: Name,
  price: PriceInput,
  stock: Stock,
  description: NullableDescription,
  active: Type.Boolean({ description: 'Whether it can be ordered' }),
  low_stock_threshold: LowStockThreshold,
};

export const CreateProductBody = Type.Object(
  {
    ...fields,
    description: Type.Optional(fields.description),
    active: Type.Optional({ ...fields.active, description: 'Default true' }),
    low_stock_threshold: Type.Optional({
      ...fields.low_stock_threshold,
      description: `${thresholdMeans}. Default: the setting LOW_STOCK_THRESHOLD`,
    }),
  },
  {
    $id: 'CreateProduct',
    additionalProperties: false,
    examples: [{ sku: 'MUG-BLUE', name: 'Blue mug', price: 29.99, stock: 100, description: 'Holds 0.3 l' }],
  },
);

export const UpdateProductBody = Type.Partial(Type.Object(fields), {
  $id: 'UpdateProduct',
  additionalProperties: false,
  minProperties: 1,
  description: 'Any subset of the fields; the others stay as they are',
  examples: [{ price: '24.50', stock: 120 }],
});

export const ListProductsQuery = Type.Object(
  {
    q: Type.Optional({
      ...text(1, 200),
      description: 'Name or SKU contains this, in any case',
      examples: ['mug'],
    }),
    sku: Type.Optional({ ...Sku, description: 'Exactly this SKU, in any case', examples: ['MUG-BLUE'] }),
    active: Type.Optional(Type.Boolean({ description: 'Whether it can be ordered', examples: [true] })),
    stock_below: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Less than this can be sold',
        examples: [10],
      }),
    ),
    ...pageQuery('oldest first'),
  },
  { additionalProperties: false },
);

export const productSchemas = [ProductSchema, CreateProductBody, UpdateProductBody];

export const createProduct = {
  operationId: 'createProduct',
  summary: 'Create a product',
  tags,
  headers: IdempotencyHeaders,
  querystring: NoQuery,
  body: ref(CreateProductBody),
  response: created(ProductSchema, '/products/1'),
  problems: [
    400,
    'duplicate_sku',
    'idempotency_key_reused',
    'idempotency_key_in_progress',
    413,
    415,
    422,
    503,
  ],
} satisfies FastifySchema;

export const listProducts = {
  operationId: 'listProducts',
  summary: 'List products',
  tags,
  querystring: ListProductsQuery,
  response: page(ProductSchema, '/products'),
  problems: [422, 503],
} satisfies FastifySchema;

export const getProduct = {
  operationId: 'getProduct',
  summary: 'Read a product',
  tags,
  params: IdParams,
  headers: IfNoneMatchHeaders,
  querystring: NoQuery,
  response: { 200: ref(ProductSchema) },
  problems: ['product_not_found', 422, 503],
} satisfies FastifySchema;

/** PUT and PATCH do the same, under names of their own. */
export function editProduct(operationId: string) {
  return {
    operationId,
    summary: 'Change fields of a product',
    description:
      'PUT and PATCH do the same: the named fields change, the others stay. `stock` sets what can be sold now, ' +
      `whatever is reserved; with that, no more than ${QUANTITY_MAX} may be on hand (422). ` +
      '`description: null` clears.',
    tags,
    params: IdParams,
    headers: IfMatchHeaders,
    querystring: NoQuery,
    body: ref(UpdateProductBody),
    response: { 200: ref(ProductSchema) },
    problems: [
      400,
      'product_not_found',
      'duplicate_sku',
      'version_mismatch',
      413,
      415,
      422,
      'stock_out_of_range',
      503,
    ],
  } satisfies FastifySchema;
}

export const deleteProduct = {
  operationId: 'deleteProduct',
  summary: 'Delete a product that no order names',
  tags,
  params: IdParams,
  headers: IfMatchHeaders,
  querystring: NoQuery,
  response: { 204: { type: 'null', description: 'Deleted' } },
  problems: ['product_has_orders', 400, 'product_not_found', 'version_mismatch', 422, 503],
} satisfies FastifySchema;
