import type { IdempotencyKey } from '../idempotency/key.ts';
import { fingerprintOf } from '../idempotency/fingerprint.ts';

/** The key of a request, with what it stands for; undefined when the request has none. */
export function idempotencyKeyOf(
  headers: { 'idempotency-key'?: string },
  route: string,
  command: unknown,
): IdempotencyKey | undefined {
  const key = headers['idempotency-key'];
  // Every caller shares one scope while the service is open.
  return key === undefined
    ? undefined
    : { scope: '', key, fingerprint: fingerprintOf('POST', route, command) };
}
