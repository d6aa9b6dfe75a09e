import { createHash } from 'node:crypto';

/**
 * SHA-256 over method, route and the validated command: what a key stands for. The route is the canonical path, so the
 * same call under /api/v1 is the same call; the command is what validation made of the body, so `29.99` and `"29.99"`
 * are the same price, and the order of members does not matter.
 */
export function fingerprintOf(method: string, route: string, command: unknown): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([method, route, sortMembers(command)]))
    .digest();
}

function sortMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortMembers);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, member]) => [name, sortMembers(member)]));
}
