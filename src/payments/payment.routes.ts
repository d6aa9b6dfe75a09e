import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { listPage } from '../http/pages.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendOnce } from '../http/send-once.ts';
import type { AuditService } from '../inventory/audit.service.ts';
import { toCents } from '../lib/money.ts';
import * as orderPayments from './order-payments.schemas.ts';
import type { OrderPaymentsService } from './order-payments.service.ts';
import { auditPayments, type PaymentsAudit } from './payment-audit.schemas.ts';

export interface PaymentRoutesOptions {
  payments: OrderPaymentsService;
  audits: Pick<AuditService<PaymentsAudit>, 'audit'>;
}

export const paymentRoutes: FastifyPluginAsyncTypebox<PaymentRoutesOptions> = async (
  app,
  { payments, audits },
) => {
  const listing = { schema: orderPayments.listOrderPayments, config: routeConfig('reader', 'scan') };
  app.get('/orders/:id/payments', listing, async (request, reply) =>
    listPage(request, reply, (page) => payments.list(request.params.id, page)),
  );

  const recording = { schema: orderPayments.recordPayment, config: routeConfig('writer', 'write') };
  app.post('/orders/:id/payments', recording, async (request, reply) => {
    const { id } = request.params;
    const { kind, amount, method = null, note } = request.body;
    const payment = { kind, amountCents: toCents(amount), method, note };
    const key = { route: '/orders/:id/payments', command: { id, ...payment } };
    const context = contextOf(request, { key, ifMatch: true });
    return sendOnce(reply, await payments.record(id, payment, context), { status: 201 });
  });

  const auditing = { schema: auditPayments, config: routeConfig('reader', 'scan') };
  app.get('/payments/audit', auditing, async () => audits.audit());
};
