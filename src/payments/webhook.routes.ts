import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';

import { parseJsonBody, refusalOfEncoding } from '../http/json-body.ts';
import { callerOf } from '../http/request-context.ts';
import type { Clock } from '../lib/clock.ts';
import { AppError } from '../lib/errors.ts';
import type { Metrics } from '../lib/metrics.ts';
import { toCents } from '../lib/money.ts';
import type { PaymentEvent } from './payment-event.ts';
import { isPaymentEventType } from './payment-rules.ts';
import type { PaymentService } from './payment.service.ts';
import { type PaymentWebhookBody, receivePaymentEvent } from './webhook.schemas.ts';
import { eventIdentity, type SignatureScheme, verifySignature } from './webhook-signature.ts';

export interface WebhookRoutesOptions {
  payments: PaymentService;
  secrets: readonly string[];
  clock: Clock;
  metrics: Metrics;
}

/** 64 KiB, a quarter of what other calls take: a payment event is small, and its sender is unknown until verified. */
const BODY_LIMIT_BYTES = 64 * 1024;

interface Verified {
  rawBody: Buffer;
  scheme: SignatureScheme;
}

/**
 * The order of things is the point: the bytes are taken as they came, their signature is checked, and only then are
 * they parsed and held against the schema. So a forger learns nothing but 401 and 403. The parser that keeps the bytes
 * lives in this plugin alone; the routes beside it get parsed JSON.
 */
export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (app, options) => {
  const { payments, secrets, clock, metrics } = options;
  const verifiedRequests = new WeakMap<FastifyRequest, Verified>();

  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    done(refusalOfEncoding(request) ?? null, body);
  });

  /** Also a request without a body has a signature to miss. */
  function verify(request: FastifyRequest): Buffer {
    const rawBody = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const verdict = verifySignature(signatureHeaders(request), rawBody, secrets, clock.nowMs());
    if (verdict === 'missing') {
      metrics.paymentEvents.inc({ outcome: 'unsigned' });
      throw new AppError('missing_signature', 'Missing webhook signature');
    }
    if (verdict === 'invalid') {
      metrics.paymentEvents.inc({ outcome: 'forged' });
      throw new AppError('invalid_signature', 'Invalid webhook signature');
    }
    verifiedRequests.set(request, { rawBody, scheme: verdict });
    return rawBody;
  }

  app.post(
    '/webhooks/payment',
    {
      schema: receivePaymentEvent,
      bodyLimit: BODY_LIMIT_BYTES,
      preValidation: async (request: FastifyRequest) => {
        request.body = withoutUnused(parseJsonBody(verify(request)));
      },
    },
    async (request, reply) => {
      const verified = verifiedRequests.get(request);
      if (verified === undefined) throw new Error('a webhook reached its handler without being verified');
      const event = toPaymentEvent(request, request.body, verified);
      return reply.send(await payments.apply(event, { ...callerOf(request), actor: 'payment-provider' }));
    },
  );
};

/**
 * An event of a type that is not used is acknowledged, whatever else is in it: its provider would otherwise send it for
 * days. So only what identifies it is held against the schema.
 */
function withoutUnused(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || !('event_type' in body)) return body;
  const { event_type, ...rest } = body as Record<string, unknown>;
  if (typeof event_type !== 'string' || isPaymentEventType(event_type)) return body;
  return {
    event_type,
    ...(Number.isSafeInteger(rest['order_id']) && Number(rest['order_id']) > 0
      ? { order_id: rest['order_id'] }
      : {}),
    ...(typeof rest['event_id'] === 'string' ? { event_id: rest['event_id'] } : {}),
  };
}

function toPaymentEvent(
  request: FastifyRequest,
  { event_type, order_id, event_id, amount, payment_method }: Static<typeof PaymentWebhookBody>,
  { rawBody, scheme }: Verified,
): PaymentEvent {
  // Under the other scheme, nobody has signed this header.
  const webhookId = scheme === 'standard-webhooks' ? headerOf(request, 'webhook-id') : undefined;
  return {
    identity: eventIdentity(event_id, webhookId, rawBody),
    type: event_type,
    orderId: order_id ?? null,
    amountCents: amount === undefined ? undefined : toCents(amount),
    paymentMethod: payment_method ?? undefined,
    unsignedEventId: headerOf(request, 'x-event-id')?.slice(0, 255),
    scheme,
    rawBody,
  };
}

function signatureHeaders(request: FastifyRequest) {
  return {
    signature: headerOf(request, 'x-webhook-signature'),
    webhookId: headerOf(request, 'webhook-id'),
    webhookTimestamp: headerOf(request, 'webhook-timestamp'),
    webhookSignature: headerOf(request, 'webhook-signature'),
  };
}

/** Node joins a repeated header with commas, which no signature of ours contains. */
function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
