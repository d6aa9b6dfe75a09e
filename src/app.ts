import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify';
import type { Logger } from 'pino';

import type { Config } from './config.ts';
import { eventTypes } from './event-types.ts';
import { eventRoutes } from './events/event.routes.ts';
import { EventSchema } from './events/event.schemas.ts';
import { withoutPrefix } from './http/api-prefix.ts';
import { answerClientErrors, refuseTunnels } from './http/client-errors.ts';
import { limitConnections } from './http/connections.ts';
import { limitDuration } from './http/deadline.ts';
import { serveDocs } from './http/docs.ts';
import { entranceRoutes, EntranceSchema } from './http/entrance.ts';
import { checkHeads, createFramingCheck } from './http/framing.ts';
import { correctHeadAnswers } from './http/head-answers.ts';
import { generalRoutes, type Readiness } from './http/health.ts';
import { createHostChecks } from './http/host-guard.ts';
import { useStrictJson } from './http/json-body.ts';
import { refuseUnknownCalls } from './http/method-not-allowed.ts';
import { collectOpenApi } from './http/openapi.ts';
import { serveInTurn } from './http/pipelining.ts';
import { renderErrors, sendProblem } from './http/problem.ts';
import { problemSchemas } from './http/problem.schemas.ts';
import { problemTypeRoutes } from './http/problem-types.ts';
import { ProblemTypeSchema } from './http/problem-types.schemas.ts';
import { collectRoutes } from './http/route-config.ts';
import { createRequestIds, observeRequests } from './http/request-context.ts';
import type { RequestEntry } from './http/request-line.ts';
import { Money } from './http/schemas.ts';
import { ajvOptions, convertTextInput } from './http/validation.ts';
import { auditRoutes } from './inventory/audit.routes.ts';
import { auditSchemas } from './inventory/audit.schemas.ts';
import { movementSchemas } from './inventory/movement.schemas.ts';
import { OrderTransitionSchema } from './orders/order-history.schemas.ts';
import { orderSchemas } from './orders/order.schemas.ts';
import { orderRoutes } from './orders/order.routes.ts';
import { inboxRoutes } from './inbound/inbox.routes.ts';
import { inboxSchemas } from './inbound/inbox.schemas.ts';
import { paymentExceptionRoutes } from './payments/payment-exception.routes.ts';
import { orderPaymentSchemas } from './payments/order-payments.schemas.ts';
import { paymentAuditSchemas } from './payments/payment-audit.schemas.ts';
import { paymentRoutes } from './payments/payment.routes.ts';
import { paymentSchemas } from './payments/payment.schemas.ts';
import { paymentExceptionSchemas } from './payments/payment-exception.schemas.ts';
import { deliveryRoutes } from './outbound/delivery.routes.ts';
import { deliverySchemas } from './outbound/delivery.schemas.ts';
import { endpointRoutes } from './outbound/endpoint.routes.ts';
import { endpointSchemas } from './outbound/endpoint.schemas.ts';
import { webhookRoutes } from './inbound/webhook.routes.ts';
import { createGenericProvider, PaymentWebhookBody } from './inbound/providers/generic.ts';
import { createStripeProvider, StripeWebhookBody } from './inbound/providers/stripe.ts';
import { PaymentWebhookResult } from './inbound/webhook.schemas.ts';
import { productSchemas } from './products/product.schemas.ts';
import { productStockRoutes } from './products/product-stock.routes.ts';
import { productStockSchemas } from './products/product-stock.schemas.ts';
import { productRoutes } from './products/product.routes.ts';
import { shareAnswer } from './lib/shared-answer.ts';
import type { Services } from './services.ts';

/** Receiving a request: longer than any honest client needs, and checked often, for Node checks every 30 s at first. */
const RECEIVE_TIMEOUT_MS = 10_000;
const CONNECTIONS_CHECK_MS = 2000;
/**
 * A connection on which nothing moves, such as one whose client does not read its answers: they are kept in memory. Above
 * the time to receive a request, which ends with an answer, and above the time of a whole request.
 */
const STANDSTILL_TIMEOUT_MS = 15_000;
/**
 * Ten times what a balancer keeps open to one instance. Each may hold a page of 1 MB and a body of 256 KB; more
 * connections are closed unheard, and counted.
 */
const MAX_CONNECTIONS = 2000;
/** Readiness and metrics cost milliseconds each, and their callers come every few seconds. */
const SHARED_ANSWER_MS = 1000;
/** Longer than the idle time of common load balancers (60 s), so that the service is never the first to close. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const BODY_LIMIT_BYTES = 256 * 1024;
/** An id that is far too long is a wrong id (422), not an unknown path. */
const MAX_PARAM_LENGTH = 1000;

export interface AppOptions {
  config: Pick<Config, 'environment' | 'webhookSecrets' | 'stripe' | 'trustProxy' | 'allowedHosts'>;
  services: Services;
  readiness: Readiness;
  logger: Logger;
  logRequest: (entry: RequestEntry) => void;
  /** Limits that a test cannot wait for, instead of those above. */
  limits?: { standstillMs?: number; maxConnections?: number; sharedAnswerMs?: number };
  /** Fastify's own, unless a test keeps what it has compiled for the next of its services. */
  compilers?: NonNullable<FastifyServerOptions['schemaController']>['compilersFactory'];
}

const schemas = [
  ...problemSchemas,
  Money,
  ProblemTypeSchema,
  EntranceSchema,
  ...productSchemas,
  ...orderSchemas,
  OrderTransitionSchema,
  PaymentWebhookBody,
  StripeWebhookBody,
  PaymentWebhookResult,
  ...movementSchemas,
  ...productStockSchemas,
  ...auditSchemas,
  EventSchema,
  ...inboxSchemas,
  ...paymentSchemas,
  ...paymentExceptionSchemas,
  ...endpointSchemas,
  ...deliverySchemas,
  ...orderPaymentSchemas,
  ...paymentAuditSchemas,
];

/** The table of contents: everything that the service answers is registered here, by name. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { config, services, logger, logRequest, limits = {} } = options;
  const app = Fastify({
    // observeRequests writes the one line of each request. With `loggerInstance`, Fastify would listen to each response
    // for a line of its own; it gets its logger below.
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    genReqId: createRequestIds(),
    // A child logger for each request costs more than naming the request in the few lines that are written about it.
    childLoggerFactory: () => logger,
    trustProxy: config.trustProxy.length === 0 ? false : [...config.trustProxy],
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: RECEIVE_TIMEOUT_MS,
    connectionTimeout: limits.standstillMs ?? STANDSTILL_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: {
      headersTimeout: RECEIVE_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
      // Node's own refusal would have no body and no line in the log; createFramingCheck has both.
      requireHostHeader: false,
    },
    routerOptions: {
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      maxParamLength: MAX_PARAM_LENGTH,
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    ajv: ajvOptions,
    ...(options.compilers && { schemaController: { compilersFactory: options.compilers } }),
    rewriteUrl: withoutPrefix,
    clientErrorHandler: answerClientErrors(services.metrics),
    frameworkErrors: (error, request, reply) => {
      void sendProblem(error, request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.log = logger;

  // Node drops headers past 2,000 without a word, a key among them; their size is limited in any case.
  app.server.maxHeadersCount = 0;
  limitConnections(app, limits.maxConnections ?? MAX_CONNECTIONS, services.metrics);
  refuseTunnels(app, services.metrics);
  collectRoutes(app);
  renderErrors(app);
  serveInTurn(app, services.metrics);
  observeRequests(app, services.metrics, logRequest);
  limitDuration(app);
  checkHeads(app, [createFramingCheck(), ...createHostChecks(hostRules(config))]);
  refuseUnknownCalls(app);
  correctHeadAnswers(app);
  useStrictJson(app);
  convertTextInput(app);
  for (const schema of schemas) app.addSchema(schema);
  await collectOpenApi(app);

  const readiness = {
    ...options.readiness,
    check: shareAnswer(options.readiness.check, limits.sharedAnswerMs ?? SHARED_ANSWER_MS),
  };
  const readMetrics = shareAnswer(
    () => services.metrics.registry.metrics(),
    limits.sharedAnswerMs ?? SHARED_ANSWER_MS,
  );
  await app.register(api, { config, services, readiness, readMetrics });
  await serveDocs(app, { signsWebhooks: config.environment !== 'production' });
  return app;
}

/** Outside production the service is open, so it must be out of reach of web pages. In production, names are a choice. */
function hostRules({ environment, allowedHosts }: AppOptions['config']) {
  const isProduction = environment === 'production';
  const names = isProduction && allowedHosts.length === 0 ? undefined : allowedHosts;
  return { names, allowCrossSite: isProduction };
}

interface ApiOptions extends Pick<AppOptions, 'config' | 'services' | 'readiness'> {
  readMetrics: () => Promise<string>;
}

async function api(app: FastifyInstance, options: ApiOptions): Promise<void> {
  const { config, services, readiness, readMetrics } = options;
  const { products, orders, payments, inbox, exceptions, stock, audits, feed, streams, metrics, clock } =
    services;
  const { orderPayments, paymentAudits } = services;
  await app.register(entranceRoutes);
  await app.register(problemTypeRoutes);
  await app.register(generalRoutes, { readiness, readMetrics });
  await app.register(productRoutes, { products });
  await app.register(orderRoutes, { orders });
  await app.register(productStockRoutes, { stock });
  await app.register(auditRoutes, { audits });
  await app.register(eventRoutes, { feed, streams, eventTypes: eventTypes.map(({ type }) => type) });
  const providers = [createGenericProvider(config.webhookSecrets), createStripeProvider(config.stripe)];
  await app.register(webhookRoutes, { payments, inbox, providers, clock, metrics });
  await app.register(inboxRoutes, { inbox, providers });
  await app.register(paymentRoutes, { payments: orderPayments, audits: paymentAudits });
  await app.register(paymentExceptionRoutes, { exceptions });
  await app.register(endpointRoutes, { endpoints: services.endpoints });
  await app.register(deliveryRoutes, { deliveries: services.deliveries, resends: services.resends });
}
