import { createHash } from 'node:crypto';

/**
 * Keyset cursors: the last id of a page, bound to the sort and filters it was made under. Opaque to callers; a cursor
 * holds nothing secret and grants nothing, so it is checked for form and fit but not signed.
 */
export interface CursorScope {
  sort: string;
  filters: Readonly<Record<string, unknown>>;
}

function scopeDigest({ sort, filters }: CursorScope): string {
  const entries = Object.entries(filters)
    .filter(([, value]) => value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([sort, entries]))
    .digest('base64url')
    .slice(0, 12);
}

export function encodeCursor(lastId: number, scope: CursorScope): string {
  return Buffer.from(`${lastId}.${scopeDigest(scope)}`).toString('base64url');
}

/** The last id of the page before, or undefined when the cursor is malformed or belongs to another sort or filter. */
export function decodeCursor(cursor: string, scope: CursorScope): number | undefined {
  const match = /^([1-9]\d{0,15})\.([\w-]{12})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null || match[2] !== scopeDigest(scope)) return undefined;
  const lastId = Number(match[1]);
  // Base64 decoding skips junk, so only the text that we would have written ourselves is accepted.
  return Number.isSafeInteger(lastId) && encodeCursor(lastId, scope) === cursor ? lastId : undefined;
}
