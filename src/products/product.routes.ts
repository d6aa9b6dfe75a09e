import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';

import { idempotencyKeyOf } from '../http/idempotency-key.ts';
import { sendPage } from '../http/pages.ts';
import { ifMatchOf, sendVersioned } from '../http/preconditions.ts';
import { callerOf } from '../http/request-context.ts';
import { toCents } from '../lib/money.ts';
import { toEtag } from '../lib/versions.ts';
import * as schemas from './product.schemas.ts';
import type { ProductService } from './product.service.ts';
import type { ProductEdit } from './product.ts';

export const productRoutes: FastifyPluginAsyncTypebox<{ products: ProductService }> = async (
  app,
  { products },
) => {
  app.post('/products', { schema: schemas.createProduct }, async (request, reply) => {
    const { price, description = null, active = true, ...fields } = request.body;
    const command = { ...fields, description, active, priceCents: toCents(price) };
    const key = idempotencyKeyOf(request.headers, '/products', command);
    const { result: product, replayed } = await products.create(command, callerOf(request), key);
    if (replayed) reply.header('idempotency-replayed', 'true');
    reply.header('location', `${app.prefix}/products/${product.id}`);
    return reply.code(201).header('etag', toEtag(product.version)).send(product);
  });

  app.get('/products', { schema: schemas.listProducts }, async (request, reply) => {
    const { q, sku, active, stock_below, ...page } = request.query;
    return sendPage(request, reply, await products.list({ q, sku, active, stock_below }, page));
  });

  app.get('/products/:id', { schema: schemas.getProduct }, async (request, reply) =>
    sendVersioned(reply, request.headers, await products.get(request.params.id)),
  );

  for (const [method, operationId] of [
    ['PUT', 'putProduct'],
    ['PATCH', 'updateProduct'],
  ] as const) {
    app.route({
      method,
      url: '/products/:id',
      schema: schemas.editProduct(operationId),
      handler: async (request, reply) => {
        const { id } = request.params;
        const edit = toEdit(request.body);
        const product = await products.edit(id, edit, callerOf(request), ifMatchOf(request.headers));
        return reply.header('etag', toEtag(product.version)).send(product);
      },
    });
  }

  app.delete('/products/:id', { schema: schemas.deleteProduct }, async (request, reply) => {
    await products.remove(request.params.id, callerOf(request), ifMatchOf(request.headers));
    return reply.code(204).send(null);
  });
};

function toEdit({ price, ...fields }: Static<typeof schemas.UpdateProductBody>): ProductEdit {
  return price === undefined ? fields : { ...fields, priceCents: toCents(price) };
}
