export interface KeyName {
  /** The caller's API key; empty while the service is open. */
  scope: string;
  key: string;
}

/** A key with what it stands for: the fingerprint of the command. */
export interface IdempotencyKey extends KeyName {
  fingerprint: Buffer;
}

/** One text for a key in its scope; neither holds a line break. */
export function keyId({ scope, key }: KeyName): string {
  return `${scope}\n${key}`;
}
