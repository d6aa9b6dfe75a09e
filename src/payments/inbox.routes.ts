import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';

import { sendPage } from '../http/pages.ts';
import { callerOf } from '../http/request-context.ts';
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
  app.get('/webhooks/inbox', { schema: schemas.listInbox }, async (request, reply) => {
    const { outcome, verdict, event_type, order_id, event_id, received_from, received_to, ...page } =
      request.query;
    const filter = {
      outcome,
      verdict,
      event_type,
      order_id,
      event_id,
      received_from: toBound(received_from, 'received_from'),
      received_to: toBound(received_to, 'received_to'),
    };
    return sendPage(request, reply, await inbox.list(filter, page));
  });

  app.get('/webhooks/inbox/:id', { schema: schemas.getInboxDelivery }, async (request, reply) =>
    reply.send(await inbox.get(request.params.id)),
  );

  app.post('/webhooks/inbox/:id/replay', { schema: schemas.replayDelivery }, async (request, reply) => {
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
