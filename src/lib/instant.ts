import { validationFailed } from './errors.ts';

/**
 * A time of the input, rounded to the millisecond as the database keeps it. A finer time lies between two milliseconds:
 * `later` takes the second, which is right for the bounds of a period (rows before the time stay before it);
 * `earlier` takes the first, which is right for a state at that time.
 * @throws AppError validation_failed for a time that the calendar or the database does not have
 */
export function toInstant(
  text: string,
  name: string,
  finer: 'later' | 'earlier',
  part: 'query' | 'body' = 'query',
): string {
  // Date cuts off fractions of a millisecond.
  const addedMs = finer === 'later' && /\.\d{3}\d*[1-9]/.test(text) ? 1 : 0;
  const time = new Date(new Date(text).getTime() + addedMs);
  // A leap second passes as a date-time; PostgreSQL has no year 0, and an offset can lead into the year 10000.
  const year = time.getUTCFullYear();
  if (year >= 1 && year <= 9999) return time.toISOString();
  const fix = 'Send a time of the years 1 to 9999, such as 2026-01-02T03:04:05Z.';
  throw validationFailed([{ path: `${part}/${name}`, message: 'must be a time that exists', fix }]);
}

/** One bound of a period, which may be left open. */
export function toBound(text: string | undefined, name: string): string | undefined {
  return text === undefined ? undefined : toInstant(text, name, 'later');
}

/** Both bounds of a period of creation. */
export function toPeriod({ created_from, created_to }: { created_from?: string; created_to?: string }) {
  return {
    created_from: toBound(created_from, 'created_from'),
    created_to: toBound(created_to, 'created_to'),
  };
}
