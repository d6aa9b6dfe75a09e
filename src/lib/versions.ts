import { AppError } from './errors.ts';

/** The versions that an If-Match or If-None-Match header names; `any` is `*`. */
export type VersionMatch = 'any' | readonly number[];

const ENTITY_TAG = /^(W\/)?"([^"]*)"$/;

export function toEtag(version: number): string {
  return `"${version}"`;
}

/**
 * Reads a header of entity tags, or undefined when it is malformed. Tags that cannot be ours match nothing. If-Match
 * compares strongly, so weak tags never match there; If-None-Match compares weakly (RFC 9110, 13.1).
 */
export function parseVersionMatch(header: string, comparison: 'strong' | 'weak'): VersionMatch | undefined {
  if (header.trim() === '*') return 'any';
  const versions: number[] = [];
  for (const tag of header.split(',')) {
    const match = ENTITY_TAG.exec(tag.trim());
    if (match === null) return undefined;
    const usable = comparison === 'weak' || match[1] === undefined;
    if (usable && /^[1-9]\d{0,15}$/.test(match[2] ?? '')) versions.push(Number(match[2]));
  }
  return versions;
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
