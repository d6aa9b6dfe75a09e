/**
 * A place in the order of the event log: right behind the event with these three numbers, or, with `id` 0, before the first
 * event of the transaction. Transaction ids are those of one PostgreSQL cluster, so the epoch comes first (0011).
 */
export interface Position {
  readonly epoch: number;
  /** An `xid8`, which may be beyond what a number holds. */
  readonly transactionId: string;
  readonly id: number;
}

/** Before the first event. */
export const LOG_START: Position = { epoch: 1, transactionId: '0', id: 0 };

/** A position as callers see it: the id of the event, and the cursor behind it. It has no dot, which signatures set apart. */
export function encodePosition({ epoch, transactionId, id }: Position): string {
  return Buffer.from(`${epoch}.${transactionId}.${id}`).toString('base64url');
}

/** Digits are bounded so that every value fits its column. */
const POSITION = /^([1-9]\d{0,8})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,14})$/;

/** @returns undefined for a text that `encodePosition` did not write */
export function decodePosition(text: string): Position | undefined {
  const match = POSITION.exec(Buffer.from(text, 'base64url').toString('latin1'));
  if (match === null) return undefined;
  const [, epoch, transactionId = '', id] = match;
  const position = { epoch: Number(epoch), transactionId, id: Number(id) };
  // Base64 decoding skips junk, so only the text that the service itself writes is accepted.
  return encodePosition(position) === text ? position : undefined;
}

/** Negative when `a` comes before `b`. */
export function comparePositions(a: Position, b: Position): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  const [first, second] = [BigInt(a.transactionId), BigInt(b.transactionId)];
  if (first !== second) return first < second ? -1 : 1;
  return a.id - b.id;
}
