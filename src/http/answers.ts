import { type Static, type TSchema, Type } from '@sinclair/typebox';

import { ref } from './schemas.ts';

/*
 * Answers with headers of their own. A schema names them under `headers`: the OpenAPI document shows them, and the
 * serializer ignores them.
 */
const header = (description: string, example: string) => ({
  type: 'string',
  description,
  examples: [example],
});

/**
 * The answer to a call that has made a resource.
 * @param example the address of one
 */
export function created<T extends TSchema>(resource: T, example: string) {
  return {
    201: Type.Unsafe<Static<T>>({
      ...ref(resource),
      headers: { Location: header('Where the new resource is', example) },
    }),
  };
}

/**
 * A page of a list.
 * @param path of the list, for the example
 * @param next the example of its Link
 */
export function page<T extends TSchema>(
  resource: T,
  path: string,
  next = `<${path}?limit=20&cursor=MTAwLm1BV0Q3SFVBd0FiSA>; rel="next"`,
) {
  return {
    200: Type.Unsafe<Static<T>[]>({
      ...Type.Array(ref(resource)),
      headers: { Link: header('Leads to the next page: `<…>; rel="next"`', next) },
    }),
  };
}
