/* What a provider reads of a body that no schema has checked yet. */

/** The members of an object; none of any other value. */
export function membersOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** As the schemas have it: 1 to so many code points, without NUL and lone surrogates. */
export function isText(value: unknown, maxLength: number): value is string {
  if (typeof value !== 'string' || value === '') return false;
  return !value.includes('\0') && !/\p{Surrogate}/u.test(value) && Array.from(value).length <= maxLength;
}
