const PREFIX = 'whsec_';

/**
 * The key of a secret for Standard Webhooks: the decoded base64 after `whsec_`, else the literal bytes. Node's decoder
 * skips invalid input, so that `whsec_A` would become the empty key, with which any attacker can sign. Only text that is
 * the same after decoding and encoding counts as base64.
 */
export function standardWebhooksKey(secret: string): Buffer {
  return base64After(secret) ?? Buffer.from(secret);
}

/** Whether a secret begins with `whsec_` but is not base64 after it. */
export function isBrokenStandardSecret(secret: string): boolean {
  return secret.startsWith(PREFIX) && base64After(secret) === undefined;
}

function base64After(secret: string): Buffer | undefined {
  if (!secret.startsWith(PREFIX)) return undefined;
  const text = secret.slice(PREFIX.length);
  const key = Buffer.from(text, 'base64');
  return key.length > 0 && key.toString('base64') === text ? key : undefined;
}
