/*
 * Array literals for `unnest`. pg writes arrays, too, but quotes and escapes every element; for a batch of hundreds of
 * numbers that is most of the work of sending it.
 */

/** A literal of numbers, or of text that is known to need no quotes: digits, points, signs. */
export function plainArray(values: readonly (number | string)[]): string {
  return `{${values.join(',')}}`;
}

/** A literal of any text; null stays null. */
export function textArray(values: readonly (string | null)[]): string {
  return `{${values.map(quote).join(',')}}`;
}

function quote(value: string | null): string {
  if (value === null) return 'NULL';
  // Hardly any text has one of them, and to look costs less than to replace.
  return SPECIAL.test(value) ? `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"` : `"${value}"`;
}

const SPECIAL = /["\\]/;
