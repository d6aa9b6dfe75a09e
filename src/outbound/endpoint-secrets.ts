import { randomBytes } from 'node:crypto';

import type { SecretBox } from '../lib/secret-box.ts';
import type { StoredSecrets } from './endpoint.repository.ts';

/* The signing secrets of endpoints. They are stored encrypted, each for its column of its row. */

const SECRET_BYTES = 32;

export function newSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
}

function placeOf(id: number, column: keyof StoredSecrets): string {
  return `webhook_endpoints/${id}/${column}`;
}

export function sealSecret(box: SecretBox, id: number, secret: string): string {
  return box.seal(secret, placeOf(id, 'secret'));
}

/** The current secret moves to the column of the previous one, where it must be encrypted for that column. */
export function rotatedSecrets(
  box: SecretBox,
  id: number,
  stored: StoredSecrets,
  next: string,
): StoredSecrets {
  const before = box.open(stored.secret, placeOf(id, 'secret'));
  return {
    secret: sealSecret(box, id, next),
    secret_previous: box.seal(before, placeOf(id, 'secret_previous')),
  };
}

/** Those that sign now: the current one, and the previous one during the overlap. */
export function openSecrets(box: SecretBox, id: number, stored: StoredSecrets): string[] {
  const { secret, secret_previous } = stored;
  const current = box.open(secret, placeOf(id, 'secret'));
  if (secret_previous === null) return [current];
  return [current, box.open(secret_previous, placeOf(id, 'secret_previous'))];
}

/** The same secrets under the current key; undefined when they are already. */
export function resealedSecrets(
  box: SecretBox,
  id: number,
  stored: StoredSecrets,
): StoredSecrets | undefined {
  const sealed = [stored.secret, stored.secret_previous].filter((secret) => secret !== null);
  if (sealed.every((secret) => box.isCurrent(secret))) return undefined;
  const reseal = (column: keyof StoredSecrets, secret: string) =>
    box.seal(box.open(secret, placeOf(id, column)), placeOf(id, column));
  const { secret, secret_previous } = stored;
  return {
    secret: reseal('secret', secret),
    secret_previous: secret_previous && reseal('secret_previous', secret_previous),
  };
}
