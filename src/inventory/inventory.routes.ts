import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { idempotencyKeyOf } from '../http/idempotency-key.ts';
import { sendPage } from '../http/pages.ts';
import { ifMatchOf } from '../http/preconditions.ts';
import { callerOf } from '../http/request-context.ts';
import { toInstant, toPeriod } from '../lib/instant.ts';
import { toEtag } from '../lib/versions.ts';
import type { AuditService } from './audit.service.ts';
import * as schemas from './inventory.schemas.ts';
import type { InventoryService } from './inventory.service.ts';

export const inventoryRoutes: FastifyPluginAsyncTypebox<{
  inventory: InventoryService;
  audits: AuditService;
}> = async (app, { inventory, audits }) => {
  app.get('/products/:id/stock-movements', { schema: schemas.listMovements }, async (request, reply) => {
    const { kind, order_id, limit, skip, sort, cursor } = request.query;
    const filter = { kind, order_id, ...toPeriod(request.query) };
    const page = { limit, skip, sort, cursor };
    return sendPage(request, reply, await inventory.listMovements(request.params.id, filter, page));
  });

  app.post('/products/:id/stock-adjustments', { schema: schemas.adjustStock }, async (request, reply) => {
    const { id } = request.params;
    const { delta, kind = 'adjusted', reason, note = null } = request.body;
    const adjustment = { delta, kind, reason, note };
    const { headers } = request;
    const key = idempotencyKeyOf(headers, '/products/:id/stock-adjustments', { id, ...adjustment });
    const ifMatch = ifMatchOf(headers);
    const { result, replayed } = await inventory.adjust(id, adjustment, callerOf(request), ifMatch, key);
    if (replayed) reply.header('idempotency-replayed', 'true');
    return reply.code(201).header('etag', toEtag(result.version)).send(result);
  });

  app.get('/products/:id/stock/explain', { schema: schemas.explainStock }, async (request) => {
    const { as_of } = request.query;
    const asOf = as_of === undefined ? undefined : toInstant(as_of, 'as_of', 'earlier');
    return inventory.explain(request.params.id, asOf);
  });

  app.get('/inventory/audit', { schema: schemas.auditInventory }, async () => audits.audit());
};
