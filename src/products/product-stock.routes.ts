import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { listPage } from '../http/pages.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendOnce } from '../http/send-once.ts';
import { toInstant, toPeriod } from '../lib/instant.ts';
import * as schemas from './product-stock.schemas.ts';
import type { ProductStockService } from './product-stock.service.ts';

export const productStockRoutes: FastifyPluginAsyncTypebox<{ stock: ProductStockService }> = async (
  app,
  { stock },
) => {
  const listing = { schema: schemas.listMovements, config: routeConfig('reader', 'scan') };
  app.get('/products/:id/stock-movements', listing, async (request, reply) => {
    const { kind, order_id } = request.query;
    const filter = { kind, order_id, ...toPeriod(request.query) };
    return listPage(request, reply, (page) => stock.listMovements(request.params.id, filter, page));
  });

  const adjusting = { schema: schemas.adjustStock, config: routeConfig('writer', 'write') };
  app.post('/products/:id/stock-adjustments', adjusting, async (request, reply) => {
    const { id } = request.params;
    const { delta, kind = 'adjusted', reason, note = null } = request.body;
    const adjustment = { delta, kind, reason, note };
    const key = { route: '/products/:id/stock-adjustments', command: { id, ...adjustment } };
    const context = contextOf(request, { key, ifMatch: true });
    return sendOnce(reply, await stock.adjust(id, adjustment, context), { status: 201 });
  });

  const explaining = { schema: schemas.explainStock, config: routeConfig('reader', 'scan') };
  app.get('/products/:id/stock/explain', explaining, async (request) => {
    const { as_of } = request.query;
    const asOf = as_of === undefined ? undefined : toInstant(as_of, 'as_of', 'earlier');
    return stock.explain(request.params.id, asOf);
  });
};
