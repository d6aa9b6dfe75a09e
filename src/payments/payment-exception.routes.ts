import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { listPage } from '../http/pages.ts';
import { sendVersioned } from '../http/preconditions.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendOnce } from '../http/send-once.ts';
import { toPeriod } from '../lib/instant.ts';
import { toReadyAnswer } from '../lib/ready-answer.ts';
import * as schemas from './payment-exception.schemas.ts';
import type { PaymentExceptionService } from './payment-exception.service.ts';

export interface PaymentExceptionRoutesOptions {
  exceptions: PaymentExceptionService;
}

export const paymentExceptionRoutes: FastifyPluginAsyncTypebox<PaymentExceptionRoutesOptions> = async (
  app,
  { exceptions },
) => {
  const listing = { schema: schemas.listPaymentExceptions, config: routeConfig('reader', 'scan') };
  app.get('/payments/exceptions', listing, async (request, reply) => {
    const { status, reason, order_id } = request.query;
    const filter = { status, reason, order_id, ...toPeriod(request.query) };
    return listPage(request, reply, (page) => exceptions.list(filter, page));
  });

  const reading = { schema: schemas.getPaymentException, config: routeConfig('reader', 'point') };
  app.get('/payments/exceptions/:id', reading, async (request, reply) =>
    sendVersioned(reply, request.headers, toReadyAnswer(await exceptions.get(request.params.id))),
  );

  const resolving = { schema: schemas.resolvePaymentException, config: routeConfig('admin', 'write') };
  app.post('/payments/exceptions/:id/resolve', resolving, async (request, reply) => {
    const { id } = request.params;
    const command = { resolution: request.body.resolution, note: request.body.note ?? null };
    const key = { route: `/payments/exceptions/${id}/resolve`, command };
    const context = contextOf(request, { key, ifMatch: true });
    return sendOnce(reply, await exceptions.resolve(id, command, context), { status: 200 });
  });
};
