import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { refusalOfEncoding } from '../http/json-body.ts';
import { toKnownError } from '../http/problem.ts';
import { callerOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import type { Clock } from '../lib/clock.ts';
import { AppError } from '../lib/errors.ts';
import type { Metrics } from '../lib/metrics.ts';
import { type Refusal, UNVERIFIED_BODY_BYTES, type Verdict } from './inbox.ts';
import type { InboxService } from './inbox.service.ts';
import type { SignedDelivery } from './payment-event.ts';
import type { PaymentService } from './payment.service.ts';
import { describePayment, toPaymentEvent, tryParsePayment } from './webhook-input.ts';
import { receivePaymentEvent } from './webhook.schemas.ts';
import { eventIdentity, verifySignature } from './webhook-signature.ts';

export interface WebhookRoutesOptions {
  payments: PaymentService;
  inbox: Pick<InboxService, 'keep'>;
  secrets: readonly string[];
  clock: Clock;
  metrics: Metrics;
}

/** 64 KiB, a quarter of what other calls take: a payment event is small, and its sender is unknown until verified. */
const BODY_LIMIT_BYTES = 64 * 1024;
/** A detail may repeat what was sent. */
const DETAIL_KEPT_CHARS = 1000;

/** What a delivery that does not verify counts as, and is answered. */
const unverified = {
  missing: { outcome: 'unsigned', code: 'missing_signature', detail: 'Missing webhook signature' },
  invalid: { outcome: 'forged', code: 'invalid_signature', detail: 'Invalid webhook signature' },
  stale: {
    outcome: 'stale',
    code: 'stale_signature',
    detail: 'Webhook timestamp is more than 5 minutes off',
  },
} as const;

/**
 * The order of things is the point: the bytes are taken as they came, their signature is checked, and only then are
 * they parsed and held against the schema. So a forger learns nothing but 401 and 403. The parser that keeps the bytes
 * lives in this plugin alone; the routes beside it get parsed JSON.
 */
export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (app, options) => {
  const { payments, inbox, secrets, clock, metrics } = options;
  const signedDeliveries = new WeakMap<FastifyRequest, SignedDelivery>();
  const parseFaults = new WeakMap<FastifyRequest, AppError>();

  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    done(refusalOfEncoding(request) ?? null, body);
  });

  /** Also a request without a body has a signature to miss. */
  function verify(request: FastifyRequest): Buffer {
    const rawBody = rawBodyOf(request);
    const verdict = verifySignature(signatureHeaders(request), rawBody, secrets, clock.nowMs());
    if (verdict === 'missing' || verdict === 'invalid' || verdict === 'stale') {
      const { outcome, code, detail } = unverified[verdict];
      metrics.paymentEvents.inc({ outcome });
      throw new AppError(code, detail);
    }
    signedDeliveries.set(request, {
      rawBody,
      scheme: verdict,
      // Under the other scheme, nobody has signed this header.
      webhookId: verdict === 'standard-webhooks' ? headerOf(request, 'webhook-id') : undefined,
      unsignedEventId: headerOf(request, 'x-event-id')?.slice(0, 255),
    });
    return rawBody;
  }

  // Whatever is refused, at whatever point, is remembered; no answer waits for it.
  app.addHook('onError', (request, _reply, error, done) => {
    const signed = signedDeliveries.get(request);
    if (signed !== undefined) metrics.paymentEvents.inc({ outcome: 'failed' });
    inbox.keep(toRefusal(request, signed, error));
    done();
  });

  app.post(
    '/webhooks/payment',
    {
      schema: receivePaymentEvent,
      config: routeConfig('public', 'exempt'),
      bodyLimit: BODY_LIMIT_BYTES,
      // The handler refuses what is wrong with the body, for it may be a damaged copy of a known event.
      attachValidation: true,
      preValidation: async (request: FastifyRequest) => {
        const { body, fault } = tryParsePayment(verify(request));
        request.body = body;
        if (fault !== undefined) parseFaults.set(request, fault);
      },
    },
    async (request, reply) => {
      const signed = signedDeliveries.get(request);
      if (signed === undefined) throw new Error('a webhook reached its handler without being verified');
      const fault = parseFaults.get(request) ?? request.validationError;
      if (fault !== undefined) {
        const known = await payments.repeat(describePayment(request.body, signed).identity);
        if (known === undefined) throw fault;
        return reply.send(known);
      }
      const event = toPaymentEvent(request.body, signed, false);
      return reply.send(await payments.apply(event, { ...callerOf(request), actor: 'payment-provider' }));
    },
  );
};

function toRefusal(request: FastifyRequest, signed: SignedDelivery | undefined, error: unknown): Refusal {
  const { code: reason, message } = toKnownError(error, request);
  const told = { reason, detail: message.slice(0, DETAIL_KEPT_CHARS), requestId: request.id };
  if (signed !== undefined) {
    const { rawBody, scheme, unsignedEventId = null } = signed;
    const described = describePayment(request.body, signed);
    return {
      ...told,
      ...described,
      verdict: 'valid',
      scheme,
      unsignedEventId,
      rawBody,
      bodyBytes: rawBody.length,
    };
  }
  // Nothing of what nobody has signed is parsed, and no more of it is hashed than is kept.
  const rawBody = rawBodyOf(request);
  const verdict = verdictOf(reason);
  const kept = rawBody.subarray(0, UNVERIFIED_BODY_BYTES);
  const identity = verdict === 'unchecked' ? reason : eventIdentity(undefined, undefined, kept);
  const unknown = { scheme: null, eventType: null, orderId: null, unsignedEventId: null };
  return { ...told, ...unknown, verdict, identity, rawBody, bodyBytes: rawBody.length };
}

function verdictOf(reason: string): Verdict {
  if (reason === 'invalid_signature') return 'forged';
  if (reason === 'stale_signature') return 'stale';
  return reason === 'missing_signature' ? 'missing' : 'unchecked';
}

/** Empty where the body never arrived, or was refused before it was read. */
function rawBodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
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
