const PREFIX = 'whsec_';

/**
 * The key of a secret for Standard Webhooks: what the base64 after `whsec_` stands for, else the literal bytes. Node
 * decodes whatever it is given and skips the rest, so that `whsec_A` would be the empty key, which anybody can sign
 * with. Only text that decoding and encoding leave unchanged counts as base64.
 */
export function standardWebhooksKey(secret: string): Buffer {
  return base64After(secret) ?? Buffer.from(secret);
}

/** Whether a secret begins like one of Standard Webhooks and then is none. */
export function isBrokenStandardSecret(secret: string): boolean {
  return secret.startsWith(PREFIX) && base64After(secret) === undefined;
}

function base64After(secret: string): Buffer | undefined {
  if (!secret.startsWith(PREFIX)) return undefined;
  const text = secret.slice(PREFIX.length);
  const key = Buffer.from(text, 'base64');
  return key.length > 0 && key.toString('base64') === text ? key : undefined;
}
