import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { listPage } from '../http/pages.ts';
import { contextOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { sendOnce } from '../http/send-once.ts';
import { toInstant } from '../lib/instant.ts';
import * as schemas from './delivery.schemas.ts';
import type { DeliveryService } from './delivery.service.ts';
import type { ResendService } from './resend.service.ts';

export interface DeliveryRoutesOptions {
  deliveries: DeliveryService;
  resends: ResendService;
}

export const deliveryRoutes: FastifyPluginAsyncTypebox<DeliveryRoutesOptions> = async (
  app,
  { deliveries, resends },
) => {
  const listing = { schema: schemas.listDeliveries, config: routeConfig('admin', 'scan') };
  app.get('/webhook-deliveries', listing, async (request, reply) => {
    const { endpoint_id, status, event_id } = request.query;
    return listPage(request, reply, (page) =>
      deliveries.list({ endpoint_id, status, event_id }, page, '-id'),
    );
  });

  const reading = { schema: schemas.getDelivery, config: routeConfig('admin', 'point') };
  app.get('/webhook-deliveries/:id', reading, async (request) => deliveries.get(request.params.id));

  const resending = { schema: schemas.resendDelivery, config: routeConfig('admin', 'write') };
  app.post('/webhook-deliveries/:id/resend', resending, async (request, reply) =>
    reply.code(202).send(await deliveries.resend(request.params.id)),
  );

  const pinging = { schema: schemas.pingEndpoint, config: routeConfig('admin', 'write') };
  app.post('/webhook-endpoints/:id/ping', pinging, async (request, reply) =>
    reply.code(202).send(await deliveries.ping(request.params.id, contextOf(request))),
  );

  const listingDead = { schema: schemas.listDeadLetters, config: routeConfig('admin', 'scan') };
  app.get('/dead-letters', listingDead, async (request, reply) => {
    const { endpoint_id } = request.query;
    return listPage(request, reply, (page) => deliveries.list({ endpoint_id, status: 'dead' }, page, 'id'));
  });

  const resendingDead = { schema: schemas.resendDeadLetters, config: routeConfig('admin', 'write') };
  app.post('/dead-letters/resend', resendingDead, async (request, reply) => {
    const { endpoint_id = null, from, to } = request.body;
    const command = {
      endpoint_id,
      from: from === undefined ? null : toInstant(from, 'from', 'later', 'body'),
      to: to === undefined ? null : toInstant(to, 'to', 'later', 'body'),
    };
    const context = contextOf(request, { key: { route: '/dead-letters/resend', command } });
    return sendOnce(reply, await resends.create(command, context), { status: 202 });
  });

  const readingResend = { schema: schemas.getResend, config: routeConfig('admin', 'point') };
  app.get('/dead-letters/resends/:id', readingResend, async (request) => resends.get(request.params.id));
};
