import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';

import { describeAnswers } from './openapi-answers.ts';
import type { OpenApiDocument } from './openapi-document.ts';
import { nameExamples } from './openapi-examples.ts';
import { useStandardWords } from './openapi-forms.ts';
import { problemResponses } from './problem.schemas.ts';

declare module 'fastify' {
  interface FastifySchema {
    /** What a route takes and answers beside what it documents. */
    undocumented?: { query: readonly string[]; statuses: readonly number[] };
  }
}

const INTRODUCTION = `Products and their stock, orders that reserve it atomically, and payment webhooks that are applied exactly once.

- Every answer that refuses is an RFC 9457 problem document with a stable \`code\`; [/problems](problems) explains each.
- The same API answers under \`/api/v1\`.
- \`Idempotency-Key\` makes a POST safe to repeat; \`If-Match\` makes an edit safe against another one.
- Lists lead on with \`Link: <…>; rel="next"\`.`;

/** Call it before the routes: the plugin collects them as they are registered. */
export async function collectOpenApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Orders & Inventory Microservice',
        version: '1.0.0',
        description: INTRODUCTION,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      // Open until API keys are set up; the webhook names its signatures itself.
      security: [],
      tags: [
        { name: 'Products', description: 'Products and what can be sold of them' },
        { name: 'Orders', description: 'Orders, and the stock that they hold' },
        { name: 'Payments', description: 'Money that bought nothing, for a person to look at' },
        { name: 'Webhooks', description: 'Payment events, and the inbox of all that came in' },
        { name: 'Webhook endpoints', description: 'Where events are sent to, signed' },
        { name: 'Inventory', description: 'The ledger of stock, and its audit' },
        { name: 'Events', description: 'Every change, in the order in which it was committed' },
        { name: 'General', description: 'Health, readiness, metrics and the codes of refusals' },
      ],
      components: { securitySchemes },
    },
    transform: ({ schema, url }) => ({ schema: documented(schema as FastifySchema | undefined), url }),
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('the document is not one of OpenAPI 3');
      // The plugin's types are of any document; these are the parts that ours has.
      const ours = document.openapiObject as OpenApiDocument;
      nameExamples(ours);
      useStandardWords(ours);
      describeAnswers(ours);
      // Not above: the plugin would take them for absolute.
      return { ...document.openapiObject, servers: SERVERS };
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) =>
        typeof $id === 'string' ? $id : `schema-${index}`,
    },
  });
}

/** Relative to the document, so that they are right behind a proxy that strips a prefix, too. */
const SERVERS = [
  { url: '.', description: 'This service' },
  { url: './api/v1', description: 'The same API under a prefix' },
];

const securitySchemes = {
  webhookSignature: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Webhook-Signature',
    description:
      'HMAC-SHA256 of the raw body with WEBHOOK_SECRET: `sha256=<hex>`, `sha256=<base64>` or bare hex',
  },
  standardWebhooks: {
    type: 'apiKey',
    in: 'header',
    name: 'webhook-signature',
    description: 'Standard Webhooks: `v1,<base64>`, with `webhook-id` and `webhook-timestamp`',
  },
  stripeSignature: {
    type: 'apiKey',
    in: 'header',
    name: 'Stripe-Signature',
    description: '`t=<seconds>,v1=<hex>`: HMAC-SHA256 of `t.body` with STRIPE_WEBHOOK_SECRET',
  },
} as const;

/** The schema of a route as the document shows it: with its refusals, and without what it only tolerates. */
function documented(schema: FastifySchema = {}): FastifySchema {
  const { problems = [], undocumented, querystring, response = {}, ...rest } = schema;
  const { query = [], statuses = [] } = undocumented ?? {};
  const answers = Object.entries(response as Record<string, unknown>).filter(
    ([status]) => !statuses.includes(Number(status)),
  );
  return {
    ...rest,
    ...(querystring === undefined ? {} : { querystring: without(querystring, query) }),
    response: { ...Object.fromEntries(answers), ...problemResponses(problems) },
  };
}

function without(querystring: unknown, names: readonly string[]): unknown {
  const { properties = {}, ...rest } = querystring as { properties?: Record<string, unknown> };
  const shown = Object.entries(properties).filter(([name]) => !names.includes(name));
  return { ...rest, properties: Object.fromEntries(shown) };
}
