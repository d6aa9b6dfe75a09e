import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';

import { refusalOfEncoding } from '../http/json-body.ts';
import { toKnownError } from '../http/problem.ts';
import { callerOf } from '../http/request-context.ts';
import { routeConfig } from '../http/route-config.ts';
import type { Clock } from '../lib/clock.ts';
import { AppError } from '../lib/errors.ts';
import type { PaymentMetrics } from '../payments/payment.metrics.ts';
import type { PaymentService } from '../payments/payment.service.ts';
import { type Refusal, UNVERIFIED_BODY_BYTES, type Verdict } from './inbox.ts';
import type { InboxService } from './inbox.service.ts';
import type { Description, Provider, SignedMessage } from './provider.ts';
import { eventIdentity } from './webhook-signature.ts';

export interface WebhookRoutesOptions {
  payments: PaymentService;
  inbox: Pick<InboxService, 'keep'>;
  providers: readonly Provider[];
  clock: Clock;
  metrics: PaymentMetrics;
}

/** A detail may repeat what was sent. */
const DETAIL_KEPT_CHARS = 1000;

/** The count and the answer of an inbound delivery that does not verify. */
const unverified = {
  missing: { outcome: 'unsigned', code: 'missing_signature', detail: 'Missing webhook signature' },
  forged: { outcome: 'forged', code: 'invalid_signature', detail: 'Invalid webhook signature' },
  stale: {
    outcome: 'stale',
    code: 'stale_signature',
    detail: 'Webhook timestamp is more than 5 minutes off',
  },
} as const;

/**
 * The order of the steps is the point: the bytes are taken as they came, their signature is checked, and only then are
 * they parsed and held against the schema. So a forger learns nothing but 401 and 403. The parser that keeps the bytes
 * lives in this plugin alone; the routes beside it get parsed JSON.
 */
export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (app, options) => {
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    done(refusalOfEncoding(request) ?? null, body);
  });
  for (const provider of options.providers) await app.register(providerRoute, { ...options, provider });
};

interface ProviderRouteOptions extends Omit<WebhookRoutesOptions, 'providers'> {
  provider: Provider;
}

const providerRoute: FastifyPluginAsyncTypebox<ProviderRouteOptions> = async (app, options) => {
  const { provider, payments, inbox, clock, metrics } = options;
  const signedMessages = new WeakMap<FastifyRequest, SignedMessage>();
  const parseFaults = new WeakMap<FastifyRequest, AppError>();

  /** A request without a body has a signature to miss, too. */
  function verify(request: FastifyRequest): Buffer {
    const rawBody = rawBodyOf(request);
    if (provider.off !== undefined) throw new AppError('provider_off', provider.off);
    const verified = provider.verify(request.headers, rawBody, clock.nowMs());
    if (typeof verified === 'string') {
      const { outcome, code, detail } = unverified[verified];
      metrics.paymentEvents.inc({ outcome });
      throw new AppError(code, detail);
    }
    signedMessages.set(request, verified);
    return rawBody;
  }

  // Every refusal, at whatever point, is recorded; no answer waits for it.
  app.addHook('onError', (request, _reply, error, done) => {
    const signed = signedMessages.get(request);
    if (signed !== undefined) metrics.paymentEvents.inc({ outcome: 'failed' });
    const refusal =
      signed === undefined
        ? unverifiedRefusal(request, error)
        : signedRefusal(request, signed, provider.describe(request.body, signed), error);
    inbox.keep(refusal);
    done();
  });

  app.post(
    provider.path,
    {
      schema: provider.schema,
      config: routeConfig('public', 'exempt'),
      bodyLimit: provider.bodyLimitBytes,
      // The handler refuses what is wrong with the body, for it may be a damaged copy of a known event.
      attachValidation: true,
      preValidation: async (request: FastifyRequest) => {
        const { body, fault } = tryParse(provider, verify(request));
        request.body = body;
        if (fault !== undefined) parseFaults.set(request, fault);
      },
    },
    async (request, reply) => {
      const signed = signedMessages.get(request);
      if (signed === undefined) throw new Error('a webhook reached its handler without being verified');
      const fault = parseFaults.get(request) ?? request.validationError;
      if (fault !== undefined) {
        const known = await payments.repeat(provider.describe(request.body, signed));
        if (known === undefined) throw fault;
        return reply.send(known);
      }
      const event = provider.read(request.body, signed);
      return reply.send(await payments.apply(event, { ...callerOf(request), actor: 'payment-provider' }));
    },
  );
};

/** A body that cannot be parsed may be the copy of a known event: then what is wrong with it does not matter. */
function tryParse(provider: Provider, rawBody: Buffer): { body?: unknown; fault?: AppError } {
  try {
    return { body: provider.parse(rawBody) };
  } catch (error) {
    if (error instanceof AppError) return { fault: error };
    throw error;
  }
}

function answered(request: FastifyRequest, error: unknown) {
  const { code: reason, message } = toKnownError(error, request);
  return { reason, detail: message.slice(0, DETAIL_KEPT_CHARS), requestId: request.id };
}

function signedRefusal(
  request: FastifyRequest,
  { rawBody, scheme, unsignedEventId }: SignedMessage,
  description: Description,
  error: unknown,
): Refusal {
  return {
    ...answered(request, error),
    ...description,
    verdict: 'valid',
    scheme,
    unsignedEventId: unsignedEventId ?? null,
    rawBody,
    bodyBytes: rawBody.length,
  };
}

/** Nothing of what nobody has signed is parsed, and no more of it is hashed than is kept. */
function unverifiedRefusal(request: FastifyRequest, error: unknown): Refusal {
  const rawBody = rawBodyOf(request);
  const answer = answered(request, error);
  const verdict = verdictOf(answer.reason);
  const kept = rawBody.subarray(0, UNVERIFIED_BODY_BYTES);
  const identity = verdict === 'unchecked' ? answer.reason : eventIdentity(undefined, undefined, kept);
  const unknown = { scheme: null, eventType: null, orderId: null, unsignedEventId: null };
  return { ...answer, ...unknown, verdict, identity, rawBody, bodyBytes: rawBody.length };
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
