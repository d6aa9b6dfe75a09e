import type { Db } from '../db/types.ts';
import { AppError, validationFailed } from '../lib/errors.ts';
import { judgeCursor } from './feed.repository.ts';
import { decodePosition, type Position } from './position.ts';

/**
 * The place that a caller's cursor stands for.
 * @param path where the caller wrote it: `query/after` or `header/last-event-id`
 * @throws AppError validation_failed when it never was a place in this log, events_expired when events behind it are deleted
 */
export async function resolveCursor(db: Db, text: string, path: string): Promise<Position> {
  const position = decodePosition(text);
  const verdict = position === undefined ? 'unknown' : await judgeCursor(db, position);
  if (verdict === 'expired') {
    throw new AppError(
      'events_expired',
      'Events behind this cursor are deleted. Read the current state, then go on without a cursor',
    );
  }
  if (position === undefined || verdict === 'unknown') {
    const message = 'is not the id of an event of this log; a log restored from a backup lacks later events';
    const fix =
      'Send the id of the last event that you have read, or read the current state and go on without a cursor.';
    throw validationFailed([{ path, message, fix }]);
  }
  return position;
}
