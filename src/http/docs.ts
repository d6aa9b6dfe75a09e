import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

/*
 * The documentation that the service serves itself, with nothing loaded from elsewhere: the reader's browser may be as
 * offline as the service.
 */

/** Built by `npm run build`; beside src/ as beside dist/. */
const redocScript = fileURLToPath(new URL('../../dist/assets/redoc.standalone.js', import.meta.url));

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
