import { describe, expect, test } from 'vitest';

import { encodeCursor } from '../../src/lib/cursor.ts';
import { AppError } from '../../src/lib/errors.ts';
import { type PageQuery, pageRequest, toPage } from '../../src/lib/page.ts';

const filters = { status: 'PAID' };

function refusal(query: PageQuery): unknown {
  try {
    return pageRequest(query, '-id', filters);
  } catch (error) {
    return error;
  }
}

test('a page that asks for nothing has 100 rows, skips 0 and follows the default order of its list', () => {
  expect(pageRequest({}, '-id', {})).toEqual({ limit: 100, skip: 0, sort: '-id', afterId: undefined });
  expect(pageRequest({}, 'id', {})).toMatchObject({ sort: 'id' });
});

test('what is asked for is taken', () => {
  const page = pageRequest({ limit: 7, skip: 3, sort: 'id' }, '-id', filters);
  expect(page).toEqual({ limit: 7, skip: 3, sort: 'id', afterId: undefined });
});

test('a cursor of the default order is the same as one of that order by name', () => {
  const cursor = encodeCursor(42, { sort: '-id', filters });
  expect(pageRequest({ cursor }, '-id', filters)).toMatchObject({ afterId: 42, sort: '-id' });
  expect(pageRequest({ cursor, sort: '-id' }, 'id', filters)).toMatchObject({ afterId: 42, sort: '-id' });
});

describe('refused with 422', () => {
  test.each<[string, PageQuery, string]>([
    ['a cursor under another sort', { cursor: encodeCursor(42, { sort: 'id', filters }) }, 'query/cursor'],
    ['a cursor under no filters', { cursor: encodeCursor(42, { sort: '-id', filters: {} }) }, 'query/cursor'],
    ['junk', { cursor: 'junk' }, 'query/cursor'],
    ['skip with a cursor', { cursor: encodeCursor(42, { sort: '-id', filters }), skip: 1 }, 'query/skip'],
    ['skip 0 with a cursor', { cursor: encodeCursor(42, { sort: '-id', filters }), skip: 0 }, 'query/skip'],
  ])('%s', (_what, query, path) => {
    const error = refusal(query);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ status: 422, fields: { errors: [{ path }] } });
  });
});

describe('the next page', () => {
  const page = pageRequest({ limit: 2 }, 'id', filters);

  test('3 rows for a limit of 2: two are shown and the cursor stands behind the second', () => {
    const { items, nextCursor } = toPage([{ id: 1 }, { id: 5 }, { id: 9 }], page, filters);
    expect(items).toEqual([{ id: 1 }, { id: 5 }]);
    expect(pageRequest({ cursor: nextCursor }, 'id', filters).afterId).toBe(5);
  });

  test.each([0, 1, 2])('%i rows for a limit of 2: the last page has no cursor', (count) => {
    const rows = Array.from({ length: count }, (_, index) => ({ id: index + 1 }));
    expect(toPage(rows, page, filters)).toMatchObject({ items: rows, nextCursor: undefined });
  });
});
