import { createHmac } from 'node:crypto';

import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import { beforeAll, inject, onTestFinished } from 'vitest';

import { buildApp } from '../../src/app.ts';
import { requireReady } from '../../src/db/connect.ts';
import { createDatabase, type Database } from '../../src/db/database.ts';
import { closeApp } from '../../src/http/drain.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createServices, type Services } from '../../src/services.ts';
import { type Answer, type CallService, type TestServiceOptions, WEBHOOK_SECRET } from './calls.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { buildSerializerOnce } from './serializers.ts';
import { holdAgainstDocument } from './documented.ts';
import { startServicePair } from './service-pair.ts';

export { type Answer, type TestServiceOptions, WEBHOOK_SECRET } from './calls.ts';

/** The whole service in this process, on a database of its own, without a port: requests are injected. */
export interface TestService {
  app: FastifyInstance;
  services: Services;
  database: TestDatabase;
  /** The service's own pool and Kysely, as opposed to `database.query`. */
  own: Database;
  call: CallService;
  /** Signs and sends a payment event. */
  pay(event: Record<string, unknown>, headers?: Record<string, string>): Promise<Answer>;
  createProduct(
    fields?: Record<string, unknown>,
  ): Promise<{ id: number; sku: string; price: number; stock: number }>;
  placeOrder(productId: number, quantity: number): Promise<{ id: number; total: number; version: number }>;
  close(): Promise<void>;
}

/** A service for one test, closed when it ends. */
export async function useTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const service = await startTestService(options);
  onTestFinished(() => service.close());
  return service;
}

/**
 * A service for all tests of the file or `describe` that calls this, closed after the last of them. Only hooks and tests
 * can use what it returns: its members are set by a hook that runs before theirs.
 */
export function useSharedService(options: TestServiceOptions = {}): TestService {
  const service = {} as TestService;
  beforeAll(async () => {
    Object.assign(service, await startTestService(options));
    return () => service.close();
  });
  return service;
}

/** @returns in projects of tests that say so, a pair of processes instead, of which nothing within can be reached */
async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  if (inject('inProcesses') !== true) return startHere(options);
  const pair = await startServicePair(options);
  // Without app, services and own; whatever asks for them is not for such a project.
  return { ...pair, ...actionsOf(pair.call) } as TestService;
}

async function startHere(options: TestServiceOptions): Promise<TestService> {
  const database = options.database ?? (await createTestDatabase());
  const own = createDatabase({
    url: database.url,
    poolSize: options.poolSize ?? 10,
    pgbouncer: inject('throughPgbouncer') ?? false,
    onIdleError: () => undefined,
  });
  const services = createServices({
    database: own,
    clock: options.clock ?? systemClock,
    metrics: createMetrics(),
    shop: {
      orderTtlMinutes: options.orderTtlMinutes ?? 0,
      currency: options.currency ?? 'USD',
      paymentFailed: options.paymentFailed ?? 'cancel',
    },
    eventRetentionDays: options.eventRetentionDays ?? 0,
    outbound: {
      rules: { insecure: true },
      secretsKeys: [Buffer.alloc(32, 1)],
      retentionDays: 30,
      // No test depends on name servers.
      resolve: async () => ['127.0.0.1'],
      ...options.outbound,
    },
    ...(options.streamLimits && { streamLimits: options.streamLimits }),
  });
  const app = await buildApp({
    config: {
      environment: 'test',
      webhookSecrets: options.webhookSecrets ?? [WEBHOOK_SECRET],
      stripe: { secrets: [], livemode: false },
      trustProxy: [],
      allowedHosts: [],
      ...options.config,
    },
    services,
    readiness: options.readiness ?? { isDraining: () => false, check: () => requireReady(own) },
    logger: options.logger ?? pino({ level: 'silent' }),
    logRequest: options.logRequest ?? (() => undefined),
    // What a test has just done shows at once.
    limits: { sharedAnswerMs: 0, ...options.limits },
    compilers: { buildSerializer: buildSerializerOnce },
  });
  await app.ready();

  const call: TestService['call'] = async (method, url, body, headers = {}) => {
    const withBody = body === undefined ? {} : { payload: toPayload(body) };
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await app.inject({
      method,
      url,
      headers: { ...type, ...headers },
      ...withBody,
    } as InjectOptions);
    const answer = toAnswer(response);
    holdAgainstDocument(app, String(method), url, answer);
    return answer;
  };
  return {
    app,
    services,
    database,
    own,
    call,
    ...actionsOf(call),
    async close() {
      await closeApp(app);
      await services.stop();
      await own.close();
      if (options.database === undefined) await database.drop();
    },
  };
}

/** The usual calls, made by a given one. */
export function actionsOf(call: CallService): Pick<TestService, 'pay' | 'createProduct' | 'placeOrder'> {
  let skus = 0;
  return {
    pay(event, headers = {}) {
      const payload = JSON.stringify(event);
      return call('POST', '/webhooks/payment', payload, {
        'x-webhook-signature': signPayload(payload),
        ...headers,
      });
    },
    createProduct: (fields = {}) =>
      created(
        call('POST', '/products', {
          sku: `SKU-${++skus}`,
          name: 'A thing',
          price: 10,
          stock: 100,
          ...fields,
        }),
      ),
    placeOrder: (productId, quantity) =>
      created(call('POST', '/orders', { product_id: productId, quantity })),
  };
}

async function created(answer: Promise<Answer>) {
  const { status, body, text } = await answer;
  if (status !== 201) throw new Error(`expected 201, got ${status}: ${text}`);
  return body;
}

function toPayload(body: unknown): string | Buffer {
  return typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
}

function toAnswer({ statusCode, headers, payload }: LightMyRequestResponse): Answer {
  const isJson = String(headers['content-type'] ?? '').includes('json');
  return {
    status: statusCode,
    headers,
    body: isJson && payload !== '' ? JSON.parse(payload) : undefined,
    text: payload,
  };
}

/** `sha256=<hex>` over the bytes of a payload. */
export function signPayload(payload: string | Buffer, secret: string = WEBHOOK_SECRET): string {
  return `sha256=${createHmac('sha256', secret).update(payload).digest('hex')}`;
}
