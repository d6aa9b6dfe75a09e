import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import vm from 'node:vm';

import { describe, expect, test } from 'vitest';

import { type ProblemCode, problems } from '../../src/lib/errors.ts';
import { problemGuide } from '../../src/lib/problem-guide.ts';
import '../support/problems.ts';
import { useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService();

/** What a browser sends. */
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };

function read(url: string, headers: Record<string, string> = {}) {
  return service.call('GET', url, undefined, headers);
}

function linksOf(text: string): string[] {
  return [...text.matchAll(/ (?:src|href|spec-url)="([^"]+)"/g)]
    .map(([, link = '']) => link)
    .filter((link) => !link.startsWith('data:'));
}

describe('GET /', () => {
  test('leads a browser to the pages, relative, from wherever it asked', async () => {
    for (const url of ['/', '/api/v1', '/api/v1/']) {
      const { status, headers } = await read(url, BROWSER);
      expect([status, new URL(String(headers['location']), `http://host${url}`).pathname]).toEqual([
        303,
        '/docs/',
      ]);
    }
  });

  test.each([undefined, '*/*', 'application/json', 'text/html;q=0.5, application/json'])(
    'with Accept: %s answers JSON whose links all lead somewhere',
    async (accept) => {
      for (const prefix of ['', '/api/v1']) {
        const { status, body, headers } = await read(`${prefix}/`, accept === undefined ? {} : { accept });
        expect([status, headers['vary']]).toEqual([200, 'accept']);
        expect(body).toMatchObject({ service: 'orders-inventory', links: { orders: `${prefix}/orders` } });
        for (const link of Object.values(body.links as Record<string, string>)) {
          expect((await read(link)).status).toBe(200);
        }
      }
    },
  );
});

describe('/problems', () => {
  const codes = Object.keys(problems) as ProblemCode[];

  test('lists every code, each with all that its page says', async () => {
    const { status, body } = await read('/problems');
    expect(status).toBe(200);
    expect(body.map(({ code }: { code: string }) => code)).toEqual(codes);
    expect((await read('/problems/insufficient_stock')).body).toEqual(
      body.find(({ code }: { code: string }) => code === 'insufficient_stock'),
    );
  });

  test.each(codes)(
    '%s is explained: meaning, remedy, its own members, an example that has them',
    async (code) => {
      const { body } = await read(`/problems/${code}`);
      expect(body).toMatchObject({ type: `/problems/${code}`, code, ...problems[code] });
      expect(body.means.length).toBeGreaterThan(20);
      expect(body.remedy.length).toBeGreaterThan(10);
      expect(body.example).toMatchObject({ type: body.type, title: body.title, status: body.status, code });
      const { detail, ...own } = problemGuide[code].example;
      expect(detail).not.toBe('');
      expect(Object.keys(own)).toEqual(Object.keys(body.members));
    },
  );

  test('a browser gets pages, in which every link leads somewhere', async () => {
    for (const url of [
      '/problems',
      '/problems/',
      '/problems/version_mismatch',
      '/api/v1/problems/version_mismatch',
    ]) {
      const { status, headers, text } = await read(url, BROWSER);
      expect([status, headers['content-type'], headers['vary']]).toEqual([
        200,
        'text/html; charset=utf-8',
        'accept',
      ]);
      const paths = linksOf(text).map((link) => new URL(link, `http://host${url}`).pathname);
      expect(paths.length).toBeGreaterThan(4);
      for (const path of new Set(paths)) expect((await read(path)).status).toBe(200);
    }
    const { text } = await read('/problems/version_mismatch', BROWSER);
    expect(text).toContain('<code>current</code>');
    expect(text).toContain('&quot;request_id&quot;');
  });

  test('a code that does not exist is 404, also under a name of every object', async () => {
    for (const code of ['nope', 'constructor', '__proto__']) {
      expect(await read(`/problems/${code}`)).toBeProblem(404, 'not_found');
    }
  });
});

/** The page that a browser shows: what the script of Swagger UI's page inserts is part of it. */
async function readPage(from: string) {
  let url = from;
  let answer = await read(url);
  if (answer.status === 308) {
    url = new URL(String(answer.headers['location']), `http://host${url}`).pathname;
    answer = await read(url);
  }
  let html = answer.text;
  const script = linksOf(html).find((link) => link.endsWith('/page.js'));
  if (script !== undefined) {
    const element = { insertAdjacentHTML: (_place: string, text: string) => (html += text) };
    const { text } = await read(new URL(script, `http://host${url}`).pathname);
    vm.runInNewContext(text, { document: { head: element, body: element } });
  }
  return { ...answer, html, url };
}

describe('the pages', () => {
  test.each([
    '/docs',
    '/docs/',
    '/docs?a=/',
    '/docs/?a',
    '/docs/static/',
    '/docs/static/index.html',
    '/redoc',
    '/redoc/',
  ])('%s fits a phone, and takes everything by relative links from the service itself', async (from) => {
    const { status, headers, html, url } = await readPage(from);
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(html).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
    expect(html).toMatch(/<title>[^<]+ · Orders &amp; Inventory<\/title>/);
    expect(headers['content-security-policy']).toMatch(/^default-src 'self';/);
    const links = linksOf(html);
    expect(links.filter((link) => !/^\.\.?\//.test(link))).toEqual([]);
    // A proxy has stripped /shop.
    const paths = links.map((link) => new URL(link, `http://host/shop${url}`).pathname);
    expect(paths).toEqual(
      expect.arrayContaining(['/shop/docs/', '/shop/redoc', '/shop/problems', '/shop/openapi.json']),
    );
    for (const path of new Set(paths)) expect((await read(path.replace('/shop', ''))).status).toBe(200);
  });

  test.each([
    ['swagger-ui-bundle.js', 'public, max-age=0'],
    ['redoc.standalone.js', 'no-cache'],
  ])('%s is asked for again, and sent once', async (file, caching) => {
    const { headers } = await read(`/docs/static/${file}`);
    expect(headers['cache-control']).toBe(caching);
    const again = await read(`/docs/static/${file}`, { 'if-none-match': String(headers['etag']) });
    expect([again.status, again.text]).toEqual([304, '']);
  });

  test('ReDoc asks for nothing from elsewhere: its logo is gone', async () => {
    expect((await read('/docs/static/redoc.standalone.js')).text).not.toContain('cdn.redoc.ly');
  });

  test('the document is there as JSON and as YAML, and where it was before', async () => {
    const { body } = await read('/openapi.json');
    const yaml = await read('/openapi.yaml');
    expect([yaml.status, yaml.headers['content-type']]).toEqual([200, 'application/yaml; charset=utf-8']);
    expect(yaml.text).toContain(body.info.title);
    for (const format of ['json', 'yaml']) {
      const { headers } = await read(`/docs/${format}`);
      expect(headers['location']).toBe(`../openapi.${format}`);
    }
  });

  test('/docs asks for a webhook secret, but not in production', async () => {
    expect((await readPage('/docs')).html).toContain('id="webhook-secret"');
    const production = await useTestService({ config: { environment: 'production' } });
    const { text } = await production.call('GET', '/docs/static/theme/page.js');
    expect(text).toContain('aria-label');
    expect(text).not.toContain('webhook-secret');
  });
});

/** The script of /docs, as a browser runs it on a page where a secret was typed. */
async function runScript(secret: string): Promise<Record<string, unknown>> {
  const script = await readFile(new URL('../../src/assets/docs.js', import.meta.url), 'utf8');
  const context = vm.createContext({
    URL,
    TextEncoder,
    crypto,
    document: {
      currentScript: { src: 'http://host/shop/docs/static/theme/docs.js' },
      querySelector: (selector: string) => (selector === '#webhook-secret' ? { value: secret } : null),
    },
  });
  vm.runInContext(script, context);
  return context;
}

test('the script of /docs signs the webhook call with the typed secret, so that the service takes it, and no other call', async () => {
  const secret = 'a secret of ümlauts';
  const { signWebhook } = await runScript(secret);
  const sign = signWebhook as (request: object) => Promise<{ headers: Record<string, string> }>;
  const body = '{"event_type":"payment.succeeded"}';
  const call = (path: string) => ({ method: 'POST', url: `http://host/shop${path}`, body, headers: {} });
  const expected = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  expect((await sign(call('/api/v1/webhooks/payment'))).headers).toEqual({ 'X-Webhook-Signature': expected });
  expect((await sign(call('/orders'))).headers).toEqual({});
});

test('the script of /docs gives calls the addresses of the service, and leaves optional fields empty', async () => {
  const { readDocument } = await runScript('');
  const { text } = await read('/openapi.json');
  const asRead = (url: string) => {
    const answer = (readDocument as (answer: object) => { text: string })({ ok: true, url, text });
    return JSON.parse(answer.text) as {
      servers: { url: string }[];
      paths: Record<
        string,
        { get: { parameters: { name: string; required?: boolean; example?: unknown }[] } }
      >;
    };
  };
  const { servers, paths } = asRead('http://host/shop/openapi.json');
  expect(servers.map(({ url }) => url)).toEqual(['http://host/shop/', 'http://host/shop/api/v1']);
  const { parameters = [] } = paths['/orders']?.get ?? {};
  expect(parameters.length).toBeGreaterThan(3);
  expect(parameters.filter(({ required, example }) => required !== true && example !== undefined)).toEqual(
    [],
  );
  expect(asRead('http://host/shop/orders')).toEqual(JSON.parse(text));
});
