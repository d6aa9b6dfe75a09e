import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import type { AuditService } from './audit.service.ts';
import * as schemas from './inventory.schemas.ts';

export const inventoryRoutes: FastifyPluginAsyncTypebox<{ audits: AuditService }> = async (
  app,
  { audits },
) => {
  app.get('/inventory/audit', { schema: schemas.auditInventory }, async () => audits.audit());
};
