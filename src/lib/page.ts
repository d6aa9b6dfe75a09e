import { decodeCursor, encodeCursor } from './cursor.ts';
import { validationFailed } from './errors.ts';

export type Sort = 'id' | '-id';

/** The page that a query asks for. */
export interface PageQuery {
  limit?: number | undefined;
  skip?: number | undefined;
  sort?: Sort | undefined;
  cursor?: string | undefined;
}

/** A page to read: rows after `afterId` in the order of `sort`. */
export interface PageRequest {
  limit: number;
  skip: number;
  sort: Sort;
  afterId: number | undefined;
}

export interface Page<T> {
  items: T[];
  /** Leads to the next page; undefined on the last one. */
  nextCursor: string | undefined;
  /** Leads to the rows behind this one, for a page that must end before its last row. */
  cursorAfter: (item: T) => string;
}

export const PAGE_LIMIT_DEFAULT = 100;
export const PAGE_LIMIT_MAX = 1000;
/** PostgreSQL reads the rows that `skip` leaves out, so `skip` is for small jumps; a cursor is for the rest. */
export const PAGE_SKIP_MAX = 1_000_000;

type Filters = Readonly<Record<string, unknown>>;

/** @throws AppError validation_failed when the cursor is malformed, or was made under another sort or filter */
export function pageRequest(query: PageQuery, defaultSort: Sort, filters: Filters): PageRequest {
  const { limit = PAGE_LIMIT_DEFAULT, skip, sort = defaultSort, cursor } = query;
  if (cursor === undefined) return { limit, skip: skip ?? 0, sort, afterId: undefined };
  if (skip !== undefined) {
    const fix = 'Leave it out: the cursor is where the page before ended.';
    throw validationFailed([{ path: 'query/skip', message: 'cannot go with cursor', fix }]);
  }
  const afterId = decodeCursor(cursor, { sort, filters });
  if (afterId === undefined) {
    const message = 'is not a cursor of this list under this sort and these filters';
    const fix = 'Follow the Link header of the page before as it is, or begin without a cursor.';
    throw validationFailed([{ path: 'query/cursor', message, fix }]);
  }
  return { limit, skip: 0, sort, afterId };
}

/** Makes a page of rows that were read with one more than the limit, which shows whether another page follows. */
export function toPage<T extends { id: number }>(rows: T[], page: PageRequest, filters: Filters): Page<T> {
  const cursorAfter = ({ id }: T) => encodeCursor(id, { sort: page.sort, filters });
  const items = rows.slice(0, page.limit);
  const last = items.at(-1);
  const more = rows.length > page.limit && last !== undefined;
  return { items, nextCursor: more ? cursorAfter(last) : undefined, cursorAfter };
}
