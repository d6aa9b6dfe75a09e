import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

import { standardWebhooksKey } from '../lib/signing-key.ts';

/*
 * Signatures of payment webhooks, over the bytes as they arrived: a body that was parsed and written again is another
 * body. Pure, but for the time, which is passed in.
 *
 * Three schemes:
 * - X-Webhook-Signature: `sha256=<hex>`, `sha256=<base64>` or bare hex, told apart by their shape. The key is the
 *   secret's literal bytes. When the header is present, it alone decides.
 * - Standard Webhooks (standardwebhooks.com): webhook-id, webhook-timestamp and webhook-signature.
 * - Stripe-Signature: `t=<seconds>,v1=<hex>,…`. The key is the literal bytes of the secret, `whsec_` included.
 */

export const signatureSchemes = ['x-webhook-signature', 'standard-webhooks', 'stripe-signature'] as const;
export type SignatureScheme = (typeof signatureSchemes)[number];
/** `stale`: signed by the provider, but at a time that is too far from now. */
export type SignatureVerdict = SignatureScheme | 'missing' | 'invalid' | 'stale';

export interface SignatureHeaders {
  signature: string | undefined;
  webhookId: string | undefined;
  webhookTimestamp: string | undefined;
  webhookSignature: string | undefined;
}

/** Both ways, as the Standard Webhooks specification recommends: bounds the life of a captured request. */
const TOLERANCE_SECONDS = 300;

/** Room for fifty signatures and more; a provider sends one, and two while it rotates its secret. */
const SIGNATURE_HEADER_MAX_LENGTH = 4096;

/** It becomes the event's identity, so it is held to what an index row can take. */
const WEBHOOK_ID = /^[\x21-\x7e]{1,255}$/;
const UNIX_SECONDS = /^\d{1,12}$/;
const HEX_DIGEST = /^[0-9a-f]{64}$/i;
const STRIPE_DIGEST = /^[0-9a-f]{64}$/;
/** 32 bytes: 43 characters and one of padding, and the last character carries only four bits. */
const BASE64_DIGEST = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

export function verifySignature(
  headers: SignatureHeaders,
  body: Buffer,
  secrets: readonly string[],
  nowMs: number,
): SignatureVerdict {
  const { signature, webhookId, webhookTimestamp, webhookSignature } = headers;
  // With an empty key, anybody could sign.
  const usable = secrets.filter((secret) => secret !== '');
  if (signature !== undefined) {
    if (signature === '') return 'missing';
    return verifyPlain(signature, body, usable) ? 'x-webhook-signature' : 'invalid';
  }
  if (!webhookId && !webhookTimestamp && !webhookSignature) return 'missing';
  if (!webhookId || !webhookTimestamp || !webhookSignature) return 'invalid';
  if (!WEBHOOK_ID.test(webhookId) || !UNIX_SECONDS.test(webhookTimestamp)) return 'invalid';
  const signed = Buffer.concat([Buffer.from(`${webhookId}.${webhookTimestamp}.`), body]);
  if (!verifyStandard(webhookSignature, signed, usable.map(standardWebhooksKey))) return 'invalid';
  // The signature comes first: only the provider can have a delivery called stale instead of forged.
  return isFresh(webhookTimestamp, nowMs) ? 'standard-webhooks' : 'stale';
}

function verifyPlain(signature: string, body: Buffer, secrets: readonly string[]): boolean {
  const claimed = decodeDigest(signature);
  return claimed !== undefined && secrets.some((secret) => sameDigest(claimed, hmac(secret, body)));
}

/**
 * Shape first, then decode: hex decoding stops at the first bad character and base64 decoding skips junk, so a
 * malformed signature could otherwise decode to something.
 */
function decodeDigest(signature: string): Buffer | undefined {
  const prefixed = signature.startsWith('sha256=');
  const digest = prefixed ? signature.slice('sha256='.length) : signature;
  if (HEX_DIGEST.test(digest)) return Buffer.from(digest, 'hex');
  if (prefixed && BASE64_DIGEST.test(digest)) return Buffer.from(digest, 'base64');
  return undefined;
}

function verifyStandard(header: string, signed: Buffer, keys: readonly Buffer[]): boolean {
  if (header.length > SIGNATURE_HEADER_MAX_LENGTH) return false;
  const expected = keys.map((key) => hmac(key, signed));
  return header.split(' ').some((entry) => {
    const digest = entry.startsWith('v1,') ? entry.slice('v1,'.length) : '';
    if (!BASE64_DIGEST.test(digest)) return false;
    const claimed = Buffer.from(digest, 'base64');
    return expected.some((candidate) => sameDigest(claimed, candidate));
  });
}

/**
 * A Stripe-Signature header, as Stripe's own library judges it, and never more mildly: the digest is over `t.body`; the
 * last `t` counts, and any of the `v1`, of which there are two while a secret is rolled. Other versions are ignored, `v0`
 * among them, which is made for test events alone.
 */
export function verifyStripeSignature(
  header: string | undefined,
  body: Buffer,
  secrets: readonly string[],
  nowMs: number,
): SignatureVerdict {
  if (header === undefined || header === '') return 'missing';
  if (header.length > SIGNATURE_HEADER_MAX_LENGTH) return 'invalid';
  const items = header.split(',').map((item) => item.split('='));
  const timestamp = items.findLast(([name]) => name === 't')?.[1] ?? '';
  if (!UNIX_SECONDS.test(timestamp)) return 'invalid';
  const signed = Buffer.concat([Buffer.from(`${timestamp}.`), body]);
  // With an empty key, anybody could sign.
  const expected = secrets.filter((secret) => secret !== '').map((secret) => hmac(secret, signed));
  const isSigned = items.some(([name, digest = '']) => {
    if (name !== 'v1' || !STRIPE_DIGEST.test(digest)) return false;
    const claimed = Buffer.from(digest, 'hex');
    return expected.some((candidate) => sameDigest(claimed, candidate));
  });
  if (!isSigned) return 'invalid';
  // The signature comes first: only Stripe can have a delivery called stale instead of forged.
  return isFresh(timestamp, nowMs) ? 'stripe-signature' : 'stale';
}

function isFresh(timestamp: string, nowMs: number): boolean {
  return Math.abs(Number(timestamp) - Math.floor(nowMs / 1000)) <= TOLERANCE_SECONDS;
}

function hmac(key: string | Buffer, data: Buffer): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** In constant time, so that the answer's delay tells nothing about the expected digest. Both are 32 bytes by now. */
function sameDigest(a: Buffer, b: Buffer): boolean {
  return timingSafeEqual(a, b);
}

/**
 * What makes a delivery the same event as another: the id in the signed body, else the signed webhook-id, else the
 * body itself. The kind is part of it, so that one kind can never be mistaken for another.
 */
export function eventIdentity(
  eventId: string | undefined,
  webhookId: string | undefined,
  body: Buffer,
): string {
  if (eventId !== undefined) return `event:${eventId}`;
  if (webhookId !== undefined) return `webhook:${webhookId}`;
  return `sha256:${createHash('sha256').update(body).digest('hex')}`;
}

/** The signed webhook-id in an identity, where that is what it was made of. */
export function webhookIdOf(identity: string): string | undefined {
  return identity.startsWith('webhook:') ? identity.slice('webhook:'.length) : undefined;
}
