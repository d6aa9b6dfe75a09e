import { AppError } from './errors.ts';

/** The versions that an If-Match or If-None-Match header names; `any` is `*`. */
export type VersionMatch = 'any' | readonly number[];

/** One element of a list, with its comma; it may be empty, and a tag may hold commas (RFC 9110, 5.6.1 and 8.8.3). */
const ELEMENT = /[ \t]*(?:(W\/)?"([^"]*)"[ \t]*)?(?:,|$)/y;

export function toEtag(version: number): string {
  return `"${version}"`;
}

/**
 * Reads a header of entity tags, or undefined when it is malformed or has none. Tags that cannot be ours match nothing. If-Match
 * compares strongly, so weak tags never match there; If-None-Match compares weakly (RFC 9110, 13.1).
 */
export function parseVersionMatch(header: string, comparison: 'strong' | 'weak'): VersionMatch | undefined {
  if (header.trim() === '*') return 'any';
  const versions: number[] = [];
  let hasTag = false;
  for (let at = 0; at < header.length; at = ELEMENT.lastIndex) {
    ELEMENT.lastIndex = at;
    const match = ELEMENT.exec(header);
    if (match === null) return undefined;
    const [, weak, tag] = match;
    hasTag ||= tag !== undefined;
    const usable = comparison === 'weak' || weak === undefined;
    if (usable && /^[1-9]\d{0,15}$/.test(tag ?? '')) versions.push(Number(tag));
  }
  return hasTag ? versions : undefined;
}

export function matchesVersion(match: VersionMatch, version: number): boolean {
  return match === 'any' || match.includes(version);
}

/**
 * Refuses a write that was meant for another version: 412 with the current state, so that the caller can merge and try
 * again without another read. Call it under the row's lock only.
 */
export function requireVersion(ifMatch: VersionMatch | undefined, current: { version: number }): void {
  if (ifMatch === undefined || matchesVersion(ifMatch, current.version)) return;
  throw new AppError('version_mismatch', `The current version is ${current.version}`, {
    fields: { current },
    headers: { etag: toEtag(current.version) },
  });
}
