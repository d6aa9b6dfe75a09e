import { beforeAll, describe, expect, test } from 'vitest';

import { encodeCursor } from '../../src/lib/cursor.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

/** The next page's address in a Link header, or undefined on the last page. */
function nextOf(link: unknown): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(String(link))?.[1];
}

async function page(url: string): Promise<{ ids: number[]; next: string | undefined }> {
  const { status, body, headers, text } = await service.call('GET', url);
  if (status !== 200) throw new Error(text);
  return { ids: body.map(({ id }: { id: number }) => id), next: nextOf(headers.link) };
}

/** Follows Link to the end; `between` runs after every page. */
async function walk(
  url: string,
  between: () => Promise<unknown> = async () => undefined,
): Promise<number[][]> {
  const pages: number[][] = [];
  for (let next: string | undefined = url; next !== undefined; ) {
    const { ids, next: following } = await page(next);
    pages.push(ids);
    next = following;
    await between();
  }
  return pages;
}

let shared: number;
beforeAll(async () => {
  shared = (await service.createProduct({ stock: 1000 })).id;
  for (let i = 0; i < 6; i++) await service.createProduct();
  for (let i = 0; i < 7; i++) await service.placeOrder(shared, 1);
  for (let i = 0; i < 7; i++) await shortPayment();
  // The inbox is a list over two tables, in turns.
  for (let i = 0; i < 4; i++) await Promise.all([shortPayment(), unknownPayment()]);
});

let payments = 0;
function pay(event: object) {
  return service.pay({
    event_type: 'payment.succeeded',
    event_id: `page-${++payments}`,
    amount: 1,
    ...event,
  });
}
/** Accepted, and an exception. */
const shortPayment = () => pay({ order_id: 1 });
/** Refused, and kept. */
const unknownPayment = () => pay({ order_id: 999_999 });

/** Adds one row at either end: ids only grow, so the newest is the one end. */
const LISTS = {
  products: { url: '/products', filter: 'active=true', add: () => service.createProduct() },
  orders: { url: '/orders', filter: 'status=PENDING', add: () => service.placeOrder(shared, 1) },
  // The shared product is the first.
  movements: {
    url: '/products/1/stock-movements',
    filter: 'kind=reserved',
    add: () => service.placeOrder(shared, 1),
  },
  exceptions: { url: '/payments/exceptions', filter: 'status=OPEN', add: shortPayment },
  inbox: {
    url: '/webhooks/inbox',
    filter: 'verdict=valid',
    add: () => (payments % 2 === 0 ? shortPayment() : unknownPayment()),
  },
};

describe.each(Object.entries(LISTS))('%s', (_name, { url, filter, add }) => {
  test.each(['id', '-id'])(
    'sort=%s: pages of 3 hold every row once, in order, and the last has no Link',
    async (sort) => {
      const all = (await page(`${url}?sort=${sort}&limit=1000`)).ids;
      const sorted = all.toSorted((a, b) => (sort === 'id' ? a - b : b - a));
      expect(all).toEqual(sorted);
      const pages = await walk(`${url}?sort=${sort}&limit=3`);
      expect(pages.flat()).toEqual(all);
      expect(pages.map((ids) => ids.length)).toEqual(
        [...Array.from({ length: Math.floor(all.length / 3) }, () => 3), all.length % 3].filter(Boolean),
      );
    },
  );

  test('rows that come in while paging upwards are met once, at the end; nothing is skipped or repeated', async () => {
    const before = (await page(`${url}?sort=id&limit=1000`)).ids;
    let added = 0;
    const seen = (
      await walk(`${url}?sort=id&limit=2`, async () => {
        if (added++ < 3) await add();
      })
    ).flat();
    expect(seen.slice(0, before.length)).toEqual(before);
    expect(new Set(seen).size).toBe(before.length + 3);
    expect(seen).toHaveLength(before.length + 3);
  });

  test('rows that come in while paging downwards move no page: what was there is seen, once', async () => {
    const before = (await page(`${url}?sort=-id&limit=1000`)).ids;
    let added = 0;
    const seen = await walk(`${url}?sort=-id&limit=2`, async () => {
      if (added++ < 3) await add();
    });
    expect(seen.flat()).toEqual(before);
  });

  test('the Link is relative and keeps filters, sort and limit', async () => {
    const { next = '' } = await page(`${url}?${filter}&sort=-id&limit=2`);
    expect(next).toMatch(new RegExp(`^${url}\\?${filter}&sort=-id&limit=2&cursor=[\\w-]+$`));
    expect((await page(next)).ids).toHaveLength(2);
  });

  test('skip jumps, and the Link behind it leads on without skipping again', async () => {
    const all = (await page(`${url}?sort=id&limit=1000`)).ids;
    const { ids, next = '' } = await page(`${url}?sort=id&limit=2&skip=3`);
    expect(ids).toEqual(all.slice(3, 5));
    expect(next).not.toContain('skip');
    expect((await page(next)).ids).toEqual(all.slice(5, 7));
    expect((await page(`${url}?skip=1000`)).ids).toEqual([]);
  });

  test('limit 1 and limit 1000 are taken; without a limit there are 100', async () => {
    expect((await page(`${url}?limit=1`)).ids).toHaveLength(1);
    expect((await page(`${url}?limit=1000`)).next).toBeUndefined();
  });

  test.each(['0', '1001', '-1', '1.5', 'abc', '', '1e2', '01'])('limit=%s: 422', async (limit) => {
    expect(await service.call('GET', `${url}?limit=${limit}`)).toHaveFaults('query/limit');
  });

  test.each(['-1', '1000001', 'x', ''])('skip=%s: 422', async (skip) => {
    expect(await service.call('GET', `${url}?skip=${skip}`)).toHaveFaults('query/skip');
  });

  test.each(['name', 'ID', '+id', '', 'id,-id'])('sort=%s: 422', async (sort) => {
    expect(await service.call('GET', `${url}?sort=${sort}`)).toHaveFaults('query/sort');
  });

  test('skip does not go with a cursor: 422', async () => {
    const { next = '' } = await page(`${url}?limit=1`);
    for (const skip of [0, 1])
      expect(await service.call('GET', `${next}&skip=${skip}`)).toHaveFaults('query/skip');
  });

  test('a cursor under another sort or filter: 422; under another limit it leads on', async () => {
    const { next = '' } = await page(`${url}?sort=id&limit=1`);
    const cursor = new URLSearchParams(next.split('?')[1]).get('cursor') ?? '';
    expect(cursor).not.toBe('');
    for (const query of ['sort=-id', `sort=id&${filter}`]) {
      expect(await service.call('GET', `${url}?${query}&cursor=${cursor}`)).toHaveFaults('query/cursor');
    }
    const all = (await page(`${url}?sort=id&limit=1000`)).ids;
    expect((await page(`${url}?sort=id&limit=3&cursor=${cursor}`)).ids).toEqual(all.slice(1, 4));
  });

  test('a cursor whose last letter is another one, and other forgeries: 422', async () => {
    const { next = '' } = await page(`${url}?sort=id&limit=1`);
    const cursor = new URLSearchParams(next.split('?')[1]).get('cursor') ?? '';
    const last = cursor.at(-1) === 'A' ? 'B' : 'A';
    const otherSort = encodeCursor(1, { sort: '-id', filters: {} });
    const bare = Buffer.from('1').toString('base64url');
    const forgeries = [
      cursor.slice(0, -1) + last,
      cursor.slice(1),
      `${cursor}A`,
      `${cursor}=`,
      bare,
      '1',
      otherSort,
      'x'.repeat(201),
      '',
    ];
    for (const forged of forgeries) {
      const answer = await service.call('GET', `${url}?sort=id&cursor=${encodeURIComponent(forged)}`);
      expect(answer).toHaveFaults('query/cursor');
    }
  });
});

test('without a limit a page has 100 of 107 rows, and the rest follows', async () => {
  for (let i = 0; i < 107; i++) await service.createProduct({ name: 'Plenty' });
  const pages = await walk('/products?q=Plenty');
  expect(pages.map((ids) => ids.length)).toEqual([100, 7]);
});

test('a row that is deleted while it is the last of a page does not lose the next one', async () => {
  for (let i = 0; i < 4; i++) await service.createProduct({ name: 'Vanishing' });
  const first = await page('/products?q=Vanishing&limit=2');
  await service.call('DELETE', `/products/${first.ids[1]}`);
  const second = await page(first.next ?? '');
  expect(second.ids).toHaveLength(2);
  expect(second.ids.some((id) => first.ids.includes(id))).toBe(false);
});
