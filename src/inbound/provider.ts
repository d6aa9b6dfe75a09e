import type { IncomingHttpHeaders } from 'node:http';

import type { FastifySchema } from 'fastify';

import type { PaymentEvent } from '../payments/payment-event.ts';
import type { Verdict } from './inbox.ts';
import type { SignatureScheme } from './webhook-signature.ts';

/** An inbound delivery whose signature was verified, before anything in it is read. */
export interface SignedMessage {
  rawBody: Buffer;
  scheme: SignatureScheme;
  /** An id of the event in a header that the signature covers; undefined under a scheme that signs none. */
  webhookId: string | undefined;
  /** The X-Event-Id header: recorded, not signed, never trusted. */
  unsignedEventId: string | undefined;
}

/** What a signed body says of itself, as far as it can be stored. */
export interface Description {
  identity: string;
  eventType: string | null;
  orderId: number | null;
}

/** 64 KiB, a quarter of what other calls take: a payment event is small, and its sender is unknown until verified. */
export const PAYMENT_EVENT_BYTES = 64 * 1024;

export type Unverified = Extract<Verdict, 'missing' | 'forged' | 'stale'>;

/**
 * A sender of payment webhooks: how it signs, and what its bodies mean. What an event then does to an order is the same
 * for all (payment-rules.ts). A provider is one file in providers/ and passes test/api/provider-conformance.test.ts.
 *
 * All of it is pure but for the time, which is passed in: the route calls it in the order of these members, and the
 * inbox calls the last three again on the bytes that it kept.
 */
export interface Provider {
  name: string;
  /** The route that takes its deliveries. */
  path: `/webhooks/${string}`;
  /** How it signs; no other provider signs so, which is how a kept delivery finds its provider again. */
  schemes: readonly SignatureScheme[];
  bodyLimitBytes: number;
  /** Why the route takes nothing, where a setting is missing. */
  off?: string;
  /** The route's description, and in `body` the schema that `read` relies on. */
  schema: FastifySchema & { body: unknown };
  /** Checks the signature over the bytes as they came, in constant time, before anything parses them. */
  verify(headers: IncomingHttpHeaders, rawBody: Buffer, nowMs: number): SignedMessage | Unverified;
  /**
   * The body as the schema is to see it, without what is only recorded and cannot be: such a field never refuses money.
   * @throws AppError malformed_request or validation_failed
   */
  parse(rawBody: Buffer): unknown;
  /** The event in a body that was parsed and fits the schema. */
  read(body: unknown, message: SignedMessage): PaymentEvent;
  /** What can be said of any body, also of one that was not parsed; its identity is that of `read`. Never throws. */
  describe(body: unknown, message: SignedMessage): Description;
}
