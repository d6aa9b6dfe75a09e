import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';

import { listPage } from '../http/pages.ts';
import { sendVersioned } from '../http/preconditions.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendChanged, sendOnce } from '../http/send-once.ts';
import { toCents } from '../lib/money.ts';
import * as schemas from './product.schemas.ts';
import type { ProductService } from './product.service.ts';
import type { ProductEdit } from './product.ts';

export const productRoutes: FastifyPluginAsyncTypebox<{ products: ProductService }> = async (
  app,
  { products },
) => {
  const creating = { schema: schemas.createProduct, config: routeConfig('writer', 'write') };
  app.post('/products', creating, async (request, reply) => {
    const { price, description = null, active = true, ...fields } = request.body;
    const command = { ...fields, description, active, priceCents: toCents(price) };
    const context = contextOf(request, { key: { route: '/products', command } });
    const created = await products.create(command, context);
    return sendOnce(reply, created, { status: 201, location: `/products/${created.result.id}` });
  });

  const listing = { schema: schemas.listProducts, config: routeConfig('reader', 'scan') };
  app.get('/products', listing, async (request, reply) => {
    const { q, sku, active, stock_below } = request.query;
    return listPage(request, reply, (page) => products.list({ q, sku, active, stock_below }, page));
  });

  const reading = { schema: schemas.getProduct, config: routeConfig('reader', 'point') };
  app.get('/products/:id', reading, async (request, reply) =>
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
      config: routeConfig('writer', 'write'),
      handler: async (request, reply) => {
        const edit = toEdit(request.body);
        const context = contextOf(request, { ifMatch: true });
        return sendChanged(reply, await products.edit(request.params.id, edit, context));
      },
    });
  }

  const deleting = { schema: schemas.deleteProduct, config: routeConfig('writer', 'write') };
  app.delete('/products/:id', deleting, async (request, reply) => {
    await products.remove(request.params.id, contextOf(request, { ifMatch: true }));
    return reply.code(204).send(null);
  });
};

function toEdit({ price, ...fields }: Static<typeof schemas.UpdateProductBody>): ProductEdit {
  return price === undefined ? fields : { ...fields, priceCents: toCents(price) };
}
