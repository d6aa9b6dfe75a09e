import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { FastifyInstance } from 'fastify';

import { sendHtml, wayToRoot } from './page-layout.ts';

/*
 * The documentation that the service serves itself, with nothing loaded from elsewhere: the reader's browser may be as
 * offline as the service. Every address in it is relative, because a proxy may have stripped a prefix.
 */

/** Put there by `npm run build`; beside src/ as beside dist/. */
const ASSETS = new URL('../../dist/assets/', import.meta.url);
const TYPES = { js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' };
const FILES = ['swagger-ui-bundle.js', 'swagger-ui.css', 'docs.js', 'pages.css', 'redoc.standalone.js'];

export interface DocsOptions {
  /** Whether /docs asks for a webhook secret to sign calls with; no secret of production is to be typed into a page. */
  signsWebhooks: boolean;
}

export async function serveDocs(app: FastifyInstance, { signsWebhooks }: DocsOptions): Promise<void> {
  for (const file of FILES) await serveAsset(app, file);
  serveDocument(app);

  app.get('/docs', { schema: { hide: true } }, async (request, reply) => {
    const root = wayToRoot(request);
    return sendHtml(request, reply, {
      title: 'Try it out',
      current: 'docs',
      head: `<link rel="stylesheet" href="${root}docs/static/swagger-ui.css">`,
      body: `${signsWebhooks ? SIGNING : ''}
    <div id="swagger-ui"></div>
    <script src="${root}docs/static/swagger-ui-bundle.js"></script>
    <script src="${root}docs/static/docs.js"></script>`,
    });
  });

  app.get('/redoc', { schema: { hide: true } }, async (request, reply) => {
    const root = wayToRoot(request);
    return sendHtml(request, reply, {
      title: 'Reference',
      current: 'redoc',
      body: `<redoc spec-url="${root}openapi.json" hide-hostname></redoc>
    <script src="${root}docs/static/redoc.standalone.js"></script>`,
    });
  });
}

/** One document for the life of the process: routes do not change after start. */
function serveDocument(app: FastifyInstance): void {
  let json: string | undefined;
  let yaml: string | undefined;
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    json ??= JSON.stringify(app.swagger());
    return reply.type('application/json; charset=utf-8').send(json);
  });
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => {
    yaml ??= app.swagger({ yaml: true });
    return reply.type('application/yaml; charset=utf-8').send(yaml);
  });
  // Where they were before; the servers in the document are relative to its place.
  for (const format of ['json', 'yaml']) {
    app.get(`/docs/${format}`, { schema: { hide: true } }, async (request, reply) =>
      reply.redirect(`${wayToRoot(request)}openapi.${format}`, 308),
    );
  }
}

async function serveAsset(app: FastifyInstance, file: string): Promise<void> {
  const content = await readFile(fileURLToPath(new URL(file, ASSETS)));
  const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`;
  app.get(`/docs/static/${file}`, { schema: { hide: true } }, async (request, reply) => {
    // Kept by the browser, and asked for each time: another version of the service has other files.
    reply.header('etag', etag).header('cache-control', 'no-cache');
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.type(file.endsWith('.js') ? TYPES.js : TYPES.css).send(content);
  });
}

const SIGNING = `<form id="signing" autocomplete="off">
      <label for="webhook-secret">Webhook secret</label>
      <input id="webhook-secret" type="password" placeholder="WEBHOOK_SECRET" autocomplete="off">
      <small>Signs <code>POST /webhooks/payment</code> in this browser; the secret is sent nowhere.</small>
    </form>`;
