import { beforeAll, describe, expect, test } from 'vitest';

import { useSharedService } from '../support/service.ts';
import { exchange, listen } from '../support/sockets.ts';

const service = useSharedService();
let port: number;

beforeAll(async () => {
  port = await listen(service);
  for (let i = 0; i < 2; i++) await service.createProduct({ name: 'Mug & saucer' });
});

function get(target: string) {
  return exchange(port, `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
}

/** Ways to write a path that reach its route; some name another host, where a client would follow them. */
const SPELLINGS = (path: string) => [
  path,
  `${path}/`,
  `/${path}`,
  `//${path}//`,
  path.replace('p', '%70'),
  `http://localhost${path}`,
  `HTTP://LOCALHOST${path}`,
  `http://localhost/${path}`,
];

describe.each(['/products', '/api/v1/products', '/api/v1/products/1/stock-movements'])('%s', (path) => {
  test.each(SPELLINGS(path))('called as %s, its Link is the path of the route', async (target) => {
    if (path.endsWith('movements')) await service.call('PATCH', '/products/1', { stock: 7 });
    if (path.endsWith('movements')) await service.call('PATCH', '/products/1', { stock: 8 });
    const [answer] = await get(`${target}?limit=1`);
    expect(answer?.status).toBe(200);
    expect(answer?.headers['link']).toMatch(/^<[^>]+>; rel="next"$/);
    const link = answer?.headers['link']?.slice(1, -13) ?? '';
    expect(link.replace(/cursor=[\w-]+$/, '')).toBe(`${path}?limit=1&`);
    expect((await service.call('GET', link)).status).toBe(200);
  });
});

test('filters are kept as they were meant: text that needs escapes, booleans, numbers', async () => {
  const query = 'q=Mug+%26%20saucer&active=true&stock_below=1000&sort=-id&limit=1';
  const { headers } = await service.call('GET', `/products?${query}`);
  const link = new URL(String(headers['link']).slice(1, -13), 'http://localhost');
  expect(Object.fromEntries(link.searchParams)).toMatchObject({
    q: 'Mug & saucer',
    active: 'true',
    stock_below: '1000',
    sort: '-id',
    limit: '1',
  });
  expect((await service.call('GET', link.href.slice(link.origin.length))).body).toHaveLength(1);
});

test('Location is the path of the route, too', async () => {
  for (const [i, target] of ['//products', 'HTTP://localhost/api/v1//products/'].entries()) {
    const body = JSON.stringify({ sku: `LOCATED-${i}`, name: 'x', price: 1, stock: 1 });
    const head = `POST ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json`;
    const [answer] = await exchange(port, `${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    expect(answer?.status).toBe(201);
    const { id } = JSON.parse(answer?.body ?? '');
    expect(answer?.headers['location']).toBe(`${i === 0 ? '' : '/api/v1'}/products/${id}`);
  }
});

test('1,000 products with the longest texts: pages end early at 1 MB, and the Links lead to every one, once', async () => {
  await service.database.query(
    `insert into products (sku, name, description, price, on_hand)
       select 'LONG-' || n, 'Long', repeat('€', 2000), 1, 0 from generate_series(1, 1000) as n`,
  );
  const ids: number[] = [];
  const sizes: number[] = [];
  for (let next: string | undefined = '/products?q=LONG-&limit=1000'; next !== undefined; ) {
    const { body, text, headers } = await service.call('GET', next);
    ids.push(...body.map(({ id }: { id: number }) => id));
    sizes.push(Buffer.byteLength(text));
    next = /^<([^>]+)>/.exec(String(headers['link'] ?? ''))?.[1];
  }
  expect(ids).toHaveLength(1000);
  expect(new Set(ids).size).toBe(1000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1024 * 1024);
  // Not much earlier, either.
  expect(sizes.length).toBeLessThan(9);
});
