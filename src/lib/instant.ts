import { validationFailed } from './errors.ts';

/**
 * A time of a query as the database compares it.
 * @throws AppError validation_failed for a time that the calendar or the database does not have
 */
export function toInstant(text: string | undefined, name: string): string | undefined {
  if (text === undefined) return undefined;
  // Times are stored to the millisecond and Date cuts off what is finer, so a time between two of them is the later
  // one: what is before it stays before it.
  const finer = /\.\d{3}\d*[1-9]/.test(text) ? 1 : 0;
  const time = new Date(new Date(text).getTime() + finer);
  // A leap second passes as a date-time; PostgreSQL has no year 0, and an offset can lead into the year 10000.
  const year = time.getUTCFullYear();
  if (year >= 1 && year <= 9999) return time.toISOString();
  throw validationFailed([{ path: `query/${name}`, message: 'must be a time that exists' }]);
}
