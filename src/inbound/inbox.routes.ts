import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { listPage } from '../http/pages.ts';
import { callerOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import { toInputFaults } from '../http/input-faults.ts';
import { validationFailed } from '../lib/errors.ts';
import { toBound } from '../lib/instant.ts';
import type { PaymentEvent } from '../payments/payment-event.ts';
import * as schemas from './inbox.schemas.ts';
import type { InboxService } from './inbox.service.ts';
import type { Provider, SignedMessage } from './provider.ts';

export const inboxRoutes: FastifyPluginAsyncTypebox<{
  inbox: InboxService;
  providers: readonly Provider[];
}> = async (app, { inbox, providers }) => {
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

  const reading = { schema: schemas.getInboundDelivery, config: routeConfig('writer', 'point') };
  app.get('/webhooks/inbox/:id', reading, async (request, reply) =>
    reply.send(await inbox.get(request.params.id)),
  );

  const replaying = { schema: schemas.replayInboundDelivery, config: routeConfig('admin', 'write') };
  app.post('/webhooks/inbox/:id/replay', replaying, async (request, reply) => {
    const read = (message: SignedMessage) => readAgain(request, providers, message);
    return reply.send(await inbox.replay(request.params.id, read, callerOf(request)));
  });
};

/** A webhook's body once more, as its route takes it behind the signature: parsed, held against the schema, read. */
function readAgain(
  request: FastifyRequest,
  providers: readonly Provider[],
  message: SignedMessage,
): PaymentEvent {
  const provider = providers.find(({ schemes }) => schemes.includes(message.scheme));
  if (provider === undefined) throw new Error(`no provider signs by ${message.scheme}`);
  const body = provider.parse(message.rawBody);
  // Fastify compiles it once: it knows the validator by this object.
  const validate = request.compileValidationSchema(provider.schema.body as object);
  if (!validate(body)) throw validationFailed(toInputFaults(validate.errors ?? [], 'body'));
  return { ...provider.read(body, message), replayed: true };
}
