/**
 * Money is integer cents in code, NUMERIC(12,2) in the database and a JSON number with at most two decimals outside.
 * Nothing is ever rounded: an amount finer than a cent is refused.
 */

/** 9,999,999,999.99: the most that NUMERIC(12,2) holds. */
export const MAX_CENTS = 999_999_999_999;

/** The largest amount as a decimal number, for schemas. */
export const MAX_AMOUNT = MAX_CENTS / 100;

const DECIMAL = /^(\d{1,10})(?:\.(\d{1,2}))?$/;

/**
 * Cents of a decimal number or string, or undefined when it is negative, not finite, finer than a cent or too large.
 * A number is judged by its shortest decimal form, which is the one its sender wrote.
 */
export function parseCents(amount: number | string): number | undefined {
  const match = DECIMAL.exec(String(amount));
  if (match === null) return undefined;
  const [, whole = '', fraction = ''] = match;
  return Number(whole) * 100 + Number(fraction.padEnd(2, '0'));
}

/** Cents of an amount that validation has accepted; any other amount is a bug. */
export function toCents(amount: number | string): number {
  const cents = parseCents(amount);
  if (cents === undefined) throw new RangeError(`not an amount of money: ${amount}`);
  return cents;
}

/** The decimal number of an amount in cents: division of integers below 2^53 gives the double nearest to it. */
export function centsToNumber(cents: number): number {
  return cents / 100;
}

/** The decimal text of an amount in cents, for NUMERIC parameters. */
export function centsToDecimal(cents: number): string {
  return (cents / 100).toFixed(2);
}

/**
 * Total in cents of quantities and prices, or undefined when it does not fit NUMERIC(12,2).
 * A product of two integers below 2^53 that is not exact is far above the limit, so the comparison is safe.
 */
export function totalCents(lines: Iterable<{ quantity: number; priceCents: number }>): number | undefined {
  let total = 0;
  for (const { quantity, priceCents } of lines) {
    total += quantity * priceCents;
    if (total > MAX_CENTS) return undefined;
  }
  return total;
}
