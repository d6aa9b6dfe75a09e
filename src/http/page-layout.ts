import type { FastifyReply, FastifyRequest } from 'fastify';

/** Nothing comes from elsewhere; Swagger UI and ReDoc style their pages inline, and ReDoc searches in a worker of a blob. */
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; " +
  "object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

export const PAGE_HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/** Without it, a phone lays the page out as wide as a desk and shrinks it. */
export const VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">';

const PAGES = [
  ['docs/', 'Try it out'],
  ['redoc', 'Reference'],
  ['problems', 'Problems'],
  ['openapi.json', 'OpenAPI'],
] as const;

interface Page {
  title: string;
  /** The path of the page from the root, when it is one of those that all pages link to. */
  current?: string;
  body: string;
}

/** Whether the caller would rather have HTML: browsers name it first, and programs do not name it. */
export function prefersHtml({ headers: { accept = '' } }: FastifyRequest): boolean {
  const html = weightOf('text/html', accept);
  return html > 0 && html >= weightOf('application/json', accept);
}

/** The weight of a type that Accept names (RFC 9110, 12.5.1); 0 when it does not. */
function weightOf(type: string, accept: string): number {
  const range = accept.split(',').find((candidate) => candidate.split(';')[0]?.trim().toLowerCase() === type);
  if (range === undefined) return 0;
  return Number(/;\s*q=([\d.]+)/i.exec(range)?.[1] ?? 1);
}

/** The way from the page that was asked for up to the root of the service, relative: a proxy may have stripped a prefix. */
export function wayToRoot({ originalUrl }: FastifyRequest): string {
  const [path = '/'] = originalUrl.replace(/^https?:\/\/[^/?]*/i, '').split('?');
  return '../'.repeat(path.split('/').length - 2) || './';
}

export function sendHtml(request: FastifyRequest, reply: FastifyReply, page: Page): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .headers(PAGE_HEADERS)
    .send(layOut(page, wayToRoot(request)));
}

export function titleOf(page: string): string {
  return `${escapeHtml(page)} · Orders &amp; Inventory`;
}

/** The bar that all pages have, with the way up to the root in its links. */
export function barOf(root: string, current?: string): string {
  const links = PAGES.map(([path, name]) => {
    const here = path === current ? ' aria-current="page"' : '';
    return `<a href="${root}${path}"${here}>${name}</a>`;
  });
  return `<nav class="bar" aria-label="Documentation"><strong>Orders &amp; Inventory</strong>${links.join('')}</nav>`;
}

function layOut({ title, current, body }: Page, root: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    ${VIEWPORT}
    <title>${titleOf(title)}</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="${root}docs/static/theme/pages.css">
  </head>
  <body>
    ${barOf(root, current)}
    ${body}
  </body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/** Text whose code stands in backticks, as in the OpenAPI document. */
export function proseToHtml(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}
