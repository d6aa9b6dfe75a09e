import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

import { describeAnswers } from './openapi-answers.ts';

/*
 * The documentation that the service serves itself, with nothing loaded from elsewhere: the reader's browser may be as
 * offline as the service.
 */

/** Built by `npm run build`; beside src/ as beside dist/. */
const redocScript = fileURLToPath(new URL('../../dist/assets/redoc.standalone.js', import.meta.url));

const INTRODUCTION = `Products and their stock, orders that reserve it atomically, and payment webhooks that are applied exactly once.

- Every answer that refuses is an RFC 9457 problem document with a stable \`code\`.
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
      servers: [{ url: '/', description: 'This service' }],
      tags: [
        { name: 'General', description: 'Health, readiness and metrics' },
        { name: 'Products', description: 'Products and what can be sold of them' },
        { name: 'Orders', description: 'Orders, and the stock that they hold' },
        { name: 'Inventory', description: 'The ledger of stock, and its audit' },
        { name: 'Webhooks', description: 'Payment events, and the inbox of all that came in' },
        { name: 'Payments', description: 'Money that bought nothing, for a person to look at' },
      ],
      components: {
        securitySchemes: {
          webhookSignature: {
            type: 'apiKey',
            in: 'header',
            name: 'X-Webhook-Signature',
            description:
              'HMAC-SHA256 of the raw body with WEBHOOK_SECRET: sha256=<hex>, sha256=<base64> or bare hex',
          },
          standardWebhooks: {
            type: 'apiKey',
            in: 'header',
            name: 'webhook-signature',
            description: 'Standard Webhooks: v1,<base64>, with webhook-id and webhook-timestamp',
          },
        },
      },
    },
    transformObject: (document) => describeAnswers('openapiObject' in document ? document.openapiObject : {}),
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) =>
        typeof $id === 'string' ? $id : `schema-${index}`,
    },
  });
}

export async function serveDocs(app: FastifyInstance): Promise<void> {
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // The badge would ask a validator on the internet.
    uiConfig: { deepLinking: true, displayRequestDuration: true, tryItOutEnabled: true, validatorUrl: null },
    theme: {
      title: 'Orders & Inventory',
      css: [{ filename: 'orders-inventory.css', content: '.swagger-ui .topbar { display: none }' }],
    },
  });

  // One document for the life of the process: routes do not change after start.
  let document: string | undefined;
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger());
    return reply.type('application/json; charset=utf-8').send(document);
  });

  const script = await readFile(redocScript);
  app.get('/redoc', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('content-security-policy', REDOC_POLICY).send(REDOC_PAGE),
  );
  app.get('/redoc/redoc.standalone.js', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .type('text/javascript; charset=utf-8')
      .header('cache-control', 'public, max-age=86400')
      .send(script),
  );
}

/** ReDoc styles its page inline and searches in a worker that it makes of a blob; nothing comes from elsewhere. */
const REDOC_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; object-src 'none'";

const REDOC_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Orders &amp; Inventory</title>
    <link rel="icon" href="data:,">
    <style>body { margin: 0 } a[href="https://redocly.com/redoc/"] { display: none !important }</style>
  </head>
  <body>
    <redoc spec-url="/openapi.json" hide-hostname></redoc>
    <script src="/redoc/redoc.standalone.js"></script>
  </body>
</html>
`;
