import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/*
 * Secrets at rest: AES-256-GCM, written as `v1.<key id>.<nonce>.<text and tag>`. The place of a secret (table, row and
 * column) is authenticated with it, so a text that is copied into another row does not open there.
 */

/** Bytes of a key. */
export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface SecretBox {
  /** @param place such as `webhook_endpoints/7/secret` */
  seal(text: string, place: string): string;
  /** @throws Error when the text was sealed for another place or with an unknown key, or was changed */
  open(sealed: string, place: string): string;
  /** Sealed with the current key. */
  isCurrent(sealed: string): boolean;
  /** Sealed with one of the keys. */
  isKnown(sealed: string): boolean;
}

/** @param keys the current one first; the others only open */
export function createSecretBox(keys: readonly [Buffer, ...Buffer[]]): SecretBox {
  const [current] = keys;
  const byId = new Map(keys.map((key) => [keyIdOf(key), key]));
  const currentId = keyIdOf(current);
  return {
    seal(text, place) {
      // A nonce must never be used twice with a key; 96 random bits do for billions of secrets.
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', current, nonce).setAAD(Buffer.from(place));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return ['v1', currentId, nonce.toString('base64url'), sealed.toString('base64url')].join('.');
    },
    open(sealed, place) {
      const { keyId, nonce, text } = parse(sealed);
      const key = byId.get(keyId);
      if (key === undefined) throw new Error(`a secret is encrypted with the unknown key ${keyId}`);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(place)).setAuthTag(text.subarray(-TAG_BYTES));
      return decipher.update(text.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    },
    isCurrent: (sealed) => parse(sealed).keyId === currentId,
    isKnown: (sealed) => byId.has(parse(sealed).keyId),
  };
}

function parse(sealed: string) {
  const [version, keyId = '', nonce = '', text = ''] = sealed.split('.');
  if (version !== 'v1') throw new Error('a secret is encrypted in an unknown form');
  return { keyId, nonce: Buffer.from(nonce, 'base64url'), text: Buffer.from(text, 'base64url') };
}

/** Says which key it was, and nothing of the key. */
function keyIdOf(key: Buffer): string {
  return createHash('sha256').update('key id').update(key).digest('hex').slice(0, 8);
}

/** The key of a setting: 32 bytes in base64 or hex; undefined for any other text. */
export function readKey(text: string): Buffer | undefined {
  if (/^[\da-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  const key = Buffer.from(text, 'base64');
  return key.length === KEY_BYTES && key.toString('base64') === text ? key : undefined;
}
