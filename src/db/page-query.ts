import { type SelectQueryBuilder, sql } from 'kysely';

import type { PageRequest } from '../lib/page.ts';
import type { DB } from './schema.ts';

/** The rows of one page by their ids, and one more, which shows that another page follows. */
export function onPage<T extends keyof DB, O>(
  query: SelectQueryBuilder<DB, T, O>,
  table: T,
  { limit, skip, sort, afterId }: PageRequest,
): typeof query {
  const id = sql.ref<number>(`${table}.id`);
  const ascending = sort === 'id';
  let page = query.orderBy(id, ascending ? 'asc' : 'desc').limit(limit + 1);
  if (afterId !== undefined) page = page.where(id, ascending ? '>' : '<', afterId);
  return skip > 0 ? page.offset(skip) : page;
}
