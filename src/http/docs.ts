import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, onRequestHookHandler } from 'fastify';

import { barOf, PAGE_HEADERS, sendHtml, titleOf, VIEWPORT, wayToRoot } from './page-layout.ts';
import { DOWNLOAD_DEADLINE_MS, routeConfig } from './route-config.ts';

/*
 * The documentation that the service serves itself, with nothing loaded from elsewhere: the reader's browser may be as
 * offline as the service. Every address in it is relative, because a proxy may have stripped a prefix.
 */

/** Put there by `npm run build`; beside src/ as beside dist/. */
const ASSETS = new URL('../../dist/assets/', import.meta.url);

export interface DocsOptions {
  /** Whether /docs asks for a webhook secret to sign calls with; no secret of production is to be typed into a page. */
  signsWebhooks: boolean;
}

/** What each route here declares. A slow connection may take long to fetch a page's script. */
const page = () => ({
  schema: { hide: true },
  config: routeConfig('public', 'exempt', DOWNLOAD_DEADLINE_MS),
});

export async function serveDocs(app: FastifyInstance, { signsWebhooks }: DocsOptions): Promise<void> {
  serveDocument(app);
  await serveSwaggerUi(app, signsWebhooks);
  await serveRedoc(app);
}

/** One document for the life of the process: routes do not change after start. */
function serveDocument(app: FastifyInstance): void {
  let json: string | undefined;
  let yaml: string | undefined;
  app.get('/openapi.json', page(), async (_request, reply) => {
    json ??= JSON.stringify(app.swagger());
    return reply.type('application/json; charset=utf-8').send(json);
  });
  app.get('/openapi.yaml', page(), async (_request, reply) => {
    yaml ??= app.swagger({ yaml: true });
    return reply.type('application/yaml; charset=utf-8').send(yaml);
  });
}

/** Functions of assets/docs.js: the plugin sends the options below to the browser as text. */
declare function signWebhook<T>(request: T): Promise<T>;
declare function readDocument<T>(response: T): T;

async function serveSwaggerUi(app: FastifyInstance, signsWebhooks: boolean): Promise<void> {
  const bar = barOf('../', 'docs/') + (signsWebhooks ? SIGNING : '');
  await app.register(async (scope) => {
    // The plugin's own routes.
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, ...page().config };
    });
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      theme: {
        title: titleOf('Try it out'),
        css: [{ filename: 'pages.css', content: await readAsset('pages.css') }],
        js: [
          { filename: 'page.js', content: inserting(VIEWPORT, bar) },
          { filename: 'docs.js', content: await readAsset('docs.js') },
        ],
      },
      uiConfig: {
        // Without the bar of Swagger UI: its field would load documents from elsewhere.
        layout: 'BaseLayout',
        displayRequestDuration: true,
        tryItOutEnabled: true,
        requestInterceptor: (request) => signWebhook(request),
        responseInterceptor: (response) => readDocument(response),
      },
      uiHooks: { onRequest: keepRelative },
    });
  });
  // Where the plugin's files have a page of their own, which finds no document.
  app.get('/docs/static', page(), async (request, reply) =>
    reply.redirect(`${wayToRoot(request)}docs/`, 308),
  );
}

function inserting(head: string, body: string): string {
  return `document.head.insertAdjacentHTML('beforeend', ${JSON.stringify(head)});
document.body.insertAdjacentHTML('afterbegin', ${JSON.stringify(body)});
`;
}

/** What the plugin itself would answer with an absolute address, or by writing the document anew for each call. */
const PLACES: Readonly<Record<string, string>> = {
  '/docs/json': 'openapi.json',
  '/docs/yaml': 'openapi.yaml',
  '/docs/static/index.html': 'docs/',
};

/** The plugin writes relative addresses into its page when the address of the page ends in a slash. */
const keepRelative: onRequestHookHandler = (request, reply, done) => {
  const { url = '' } = request.routeOptions;
  const isPage = /^\/docs\/?$/.test(url);
  const place = isPage && !/^[^?]+\/$/.test(request.url) ? 'docs/' : PLACES[url];
  if (place === undefined) {
    reply.headers(PAGE_HEADERS);
    return done();
  }
  // Postman's redirects do not read a dot at the start.
  void reply.redirect((wayToRoot(request) + place).replace(/^\.\//, ''), 308);
};

async function serveRedoc(app: FastifyInstance): Promise<void> {
  const script = await readAsset('redoc.standalone.js');
  const etag = `"${createHash('sha256').update(script).digest('base64url').slice(0, 22)}"`;
  app.get('/docs/static/redoc.standalone.js', page(), async (request, reply) => {
    // Kept by the browser, and asked for each time: another version of the service has another file.
    reply.header('etag', etag).header('cache-control', 'no-cache');
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.type('text/javascript; charset=utf-8').send(script);
  });
  app.get('/redoc', page(), async (request, reply) => {
    const root = wayToRoot(request);
    return sendHtml(request, reply, {
      title: 'Reference',
      current: 'redoc',
      body: `<redoc spec-url="${root}openapi.json" hide-hostname></redoc>
    <script src="${root}docs/static/redoc.standalone.js"></script>`,
    });
  });
}

function readAsset(file: string): Promise<string> {
  return readFile(new URL(file, ASSETS), 'utf8');
}

const SIGNING = `<form id="signing" autocomplete="off">
      <label for="webhook-secret">Webhook secret</label>
      <input id="webhook-secret" type="password" placeholder="WEBHOOK_SECRET" autocomplete="off">
      <small>Signs <code>POST /webhooks/payment</code> in this browser; the secret is sent nowhere.</small>
    </form>`;
