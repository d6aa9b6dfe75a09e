import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { idempotencyKeyOf } from '../http/idempotency-key.ts';
import { sendPage } from '../http/pages.ts';
import { ifMatchOf, sendVersioned } from '../http/preconditions.ts';
import { callerOf } from '../http/request-context.ts';
import { toBound } from '../lib/instant.ts';
import { toReadyAnswer } from '../lib/ready-answer.ts';
import { toEtag } from '../lib/versions.ts';
import * as schemas from './payment-exception.schemas.ts';
import type { PaymentExceptionService } from './payment-exception.service.ts';

export interface PaymentExceptionRoutesOptions {
  exceptions: PaymentExceptionService;
}

export const paymentExceptionRoutes: FastifyPluginAsyncTypebox<PaymentExceptionRoutesOptions> = async (
  app,
  { exceptions },
) => {
  app.get('/payments/exceptions', { schema: schemas.listPaymentExceptions }, async (request, reply) => {
    const { status, reason, order_id, created_from, created_to, ...page } = request.query;
    const filter = {
      status,
      reason,
      order_id,
      created_from: toBound(created_from, 'created_from'),
      created_to: toBound(created_to, 'created_to'),
    };
    return sendPage(request, reply, await exceptions.list(filter, page));
  });

  app.get('/payments/exceptions/:id', { schema: schemas.getPaymentException }, async (request, reply) =>
    sendVersioned(reply, request.headers, toReadyAnswer(await exceptions.get(request.params.id))),
  );

  app.post(
    '/payments/exceptions/:id/resolve',
    { schema: schemas.resolvePaymentException },
    async (request, reply) => {
      const { id } = request.params;
      const command = { resolution: request.body.resolution, note: request.body.note ?? null };
      const { result, replayed } = await exceptions.resolve(id, command, {
        caller: callerOf(request),
        ifMatch: ifMatchOf(request.headers),
        key: idempotencyKeyOf(request.headers, `/payments/exceptions/${id}/resolve`, command),
      });
      if (replayed) reply.header('idempotency-replayed', 'true');
      return reply.header('etag', toEtag(result.version)).send(result);
    },
  );
};
