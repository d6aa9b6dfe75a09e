import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { routeConfig } from '../http/route-config.ts';
import { auditInventory } from './audit.schemas.ts';
import type { AuditService } from './audit.service.ts';
import type { InventoryAudit } from './audit.ts';

export const auditRoutes: FastifyPluginAsyncTypebox<{
  audits: Pick<AuditService<InventoryAudit>, 'audit'>;
}> = async (app, { audits }) => {
  const auditing = { schema: auditInventory, config: routeConfig('reader', 'scan') };
  app.get('/inventory/audit', auditing, async () => audits.audit());
};
