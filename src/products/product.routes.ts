import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';

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
import { toCents } from '../lib/money.ts';
import { toEtag } from '../lib/versions.ts';
import { CreateProductBody, ListProductsQuery, ProductSchema, UpdateProductBody } from './product.schemas.ts';
import type { ProductService } from './product.service.ts';
import type { ProductEdit } from './product.ts';

const tags = ['Products'];

export const productRoutes: FastifyPluginAsyncTypebox<{ products: ProductService }> = async (
  app,
  { products },
) => {
  app.post(
    '/products',
    {
      schema: {
        operationId: 'createProduct',
        summary: 'Create a product',
        tags,
        headers: IdempotencyHeaders,
        querystring: NoQuery,
        body: ref(CreateProductBody),
        response: { 201: ref(ProductSchema), ...problemResponses(400, 409, 413, 415, 422, 503) },
      },
    },
    async (request, reply) => {
      const { price, description = null, active = true, ...fields } = request.body;
      const command = { ...fields, description, active, priceCents: toCents(price) };
      const key = idempotencyKeyOf(request.headers, '/products', command);
      const { result: product, replayed } = await products.create(command, callerOf(request), key);
      if (replayed) reply.header('idempotency-replayed', 'true');
      reply.header('location', `${prefixOf(request)}/products/${product.id}`);
      return reply.code(201).header('etag', toEtag(product.version)).send(product);
    },
  );

  app.get(
    '/products',
    {
      schema: {
        operationId: 'listProducts',
        summary: 'List products',
        tags,
        querystring: ListProductsQuery,
        response: { 200: { type: 'array', items: ref(ProductSchema) }, ...problemResponses(422, 503) },
      },
    },
    async (request, reply) => {
      const { q, sku, active, stock_below, ...page } = request.query;
      return sendPage(request, reply, await products.list({ q, sku, active, stock_below }, page));
    },
  );

  app.get(
    '/products/:id',
    {
      schema: {
        operationId: 'getProduct',
        summary: 'Read a product',
        tags,
        params: IdParams,
        headers: IfNoneMatchHeaders,
        querystring: NoQuery,
        response: { 200: ref(ProductSchema), ...problemResponses(404, 422, 503) },
      },
    },
    async (request, reply) => sendVersioned(reply, request.headers, await products.get(request.params.id)),
  );

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/products/:id',
      schema: {
        operationId: method === 'PUT' ? 'putProduct' : 'patchProduct',
        summary: 'Change fields of a product',
        description:
          'PUT and PATCH do the same: the named fields change, the others stay. `stock` sets what can be sold now, ' +
          'whatever is reserved; `description: null` clears.',
        tags,
        params: IdParams,
        headers: IfMatchHeaders,
        querystring: NoQuery,
        body: ref(UpdateProductBody),
        response: { 200: ref(ProductSchema), ...problemResponses(400, 404, 409, 412, 413, 415, 422, 503) },
      },
      handler: async (request, reply) => {
        const edit = toEdit(request.body);
        const product = await products.edit(
          request.params.id,
          edit,
          callerOf(request),
          ifMatchOf(request.headers),
        );
        return reply.header('etag', toEtag(product.version)).send(product);
      },
    });
  }

  app.delete(
    '/products/:id',
    {
      schema: {
        operationId: 'deleteProduct',
        summary: 'Delete a product that no order names',
        tags,
        params: IdParams,
        headers: IfMatchHeaders,
        querystring: NoQuery,
        response: {
          204: { type: 'null', description: 'Deleted' },
          ...problemResponses(400, 404, 412, 422, 503),
        },
      },
    },
    async (request, reply) => {
      await products.remove(request.params.id, callerOf(request), ifMatchOf(request.headers));
      return reply.code(204).send(null);
    },
  );
};

function toEdit({ price, ...fields }: Static<typeof UpdateProductBody>): ProductEdit {
  return price === undefined ? fields : { ...fields, priceCents: toCents(price) };
}
