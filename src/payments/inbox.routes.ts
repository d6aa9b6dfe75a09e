import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';

import { listPage } from '../http/pages.ts';
import { callerOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { ref } from '../http/schemas.ts';
import { toInputFaults } from '../http/input-faults.ts';
import { validationFailed } from '../lib/errors.ts';
import { toBound } from '../lib/instant.ts';
import * as schemas from './inbox.schemas.ts';
import type { InboxService } from './inbox.service.ts';
import type { PaymentEvent, SignedDelivery } from './payment-event.ts';
import { parsePayment, toPaymentEvent } from './webhook-input.ts';
import { PaymentWebhookBody } from './webhook.schemas.ts';

/** One object, by which Fastify knows the validator that it has compiled of it. */
const webhookBody = ref(PaymentWebhookBody);

export const inboxRoutes: FastifyPluginAsyncTypebox<{ inbox: InboxService }> = async (app, { inbox }) => {
  // What came in may name customers, so a reader's key does not open it.
  const listing = { schema: schemas.listInbox, config: routeConfig('writer', 'scan') };
  app.get('/webhooks/inbox', listing, async (request, reply) => {
    const { outcome, verdict, event_type, order_id, event_id, received_from, received_to } = request.query;
    const filter = {
      outcome,
      verdict,
      event_type,
      order_id,
      event_id,
      received_from: toBound(received_from, 'received_from'),
      received_to: toBound(received_to, 'received_to'),
    };
    return listPage(request, reply, (page) => inbox.list(filter, page));
  });

  const reading = { schema: schemas.getInboxDelivery, config: routeConfig('writer', 'point') };
  app.get('/webhooks/inbox/:id', reading, async (request, reply) =>
    reply.send(await inbox.get(request.params.id)),
  );

  const replaying = { schema: schemas.replayDelivery, config: routeConfig('admin', 'write') };
  app.post('/webhooks/inbox/:id/replay', replaying, async (request, reply) => {
    const read = (delivery: SignedDelivery) => readPayment(request, delivery);
    return reply.send(await inbox.replay(request.params.id, read, callerOf(request)));
  });
};

/** The way of a webhook's body behind its signature: parsed, held against the same schema, made an event. */
function readPayment(request: FastifyRequest, delivery: SignedDelivery): PaymentEvent {
  const body = parsePayment(delivery.rawBody);
  const validate = request.compileValidationSchema(webhookBody);
  if (!validate(body)) throw validationFailed(toInputFaults(validate.errors ?? [], 'body'));
  return toPaymentEvent(body as Static<typeof PaymentWebhookBody>, delivery, true);
}
