import pg from 'pg';

const INT8: number = pg.types.builtins.INT8;
const TIMESTAMPTZ: number = pg.types.builtins.TIMESTAMPTZ;

/**
 * int8 → number: ids, counters and versions stay below 2^53, and one that did not must not be shown altered.
 * timestamptz → ISO-8601 text in UTC with three decimals, without the detour over a Date.
 * numeric stays text, for money is never a float (`moneyOf` in money.ts).
 */
export function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (format !== 'binary') {
    if (oid === INT8) return toSafeInteger;
    if (oid === TIMESTAMPTZ) return toIsoTime;
  }
  return pg.types.getTypeParser(oid, format);
}

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint out of the safe range: ${text}`);
  return value;
}

/** `2026-01-02 03:04:05.678+00`, with the zeros at the end of the fraction left out. */
const UTC_TIME_CHARS = { least: 22, most: 26 };

function toIsoTime(text: string): string {
  const { length } = text;
  const isUtc = text.endsWith('+00') && length >= UTC_TIME_CHARS.least && length <= UTC_TIME_CHARS.most;
  // A server or pooler with another time zone, or a year of five digits: correct, only slower.
  if (!isUtc || text[10] !== ' ') return new Date(text).toISOString();
  const fraction = text.slice(20, -3).padEnd(3, '0');
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`;
}
