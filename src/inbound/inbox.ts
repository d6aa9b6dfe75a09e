import type { OrderStatus } from '../orders/order-state.ts';
import type { SignatureScheme } from './webhook-signature.ts';

/**
 * What the signature of an inbound delivery said. `stale` is right, but was made more than five minutes from now; `unchecked` was
 * refused before there was anything to check.
 */
export const verdicts = ['valid', 'forged', 'stale', 'missing', 'unchecked'] as const;
export type Verdict = (typeof verdicts)[number];

/**
 * What became of an inbound delivery. The first three are a payment event's (`decidePayment`); `failed` was signed but had no
 * effect, and can be replayed; `refused` was not signed by anybody we know, or not in time, and never can.
 */
export const inboundOutcomes = ['processed', 'ignored', 'review', 'failed', 'refused'] as const;
export type InboundOutcome = (typeof inboundOutcomes)[number];

/** Of a body that nobody has signed, enough is kept to see what somebody is trying. */
export const UNVERIFIED_BODY_BYTES = 4096;

/** An inbound delivery that had no effect, to be remembered. */
export interface Refusal {
  verdict: Verdict;
  /** What makes two of them the same: the event's identity when the signature is valid, else what is kept of it. */
  identity: string;
  scheme: SignatureScheme | null;
  eventType: string | null;
  orderId: number | null;
  unsignedEventId: string | null;
  /** The code and the detail of the answer. */
  reason: string;
  detail: string;
  rawBody: Buffer;
  bodyBytes: number;
  requestId: string;
}

/** An inbound delivery as callers see it; all those of one event are one. */
export interface InboundDelivery {
  id: number;
  verdict: Verdict;
  scheme: SignatureScheme | null;
  outcome: InboundOutcome;
  reason: string | null;
  detail: string | null;
  new_status: OrderStatus | null;
  identity: string | null;
  event_type: string | null;
  order_id: number | null;
  unsigned_event_id: string | null;
  deliveries: number;
  received_at: string;
  last_delivered_at: string;
  request_id: string | null;
  raw_body: string;
  raw_body_encoding: 'utf-8' | 'base64';
  raw_body_bytes: number;
  raw_body_truncated: boolean;
}

export interface InboxFilter {
  outcome: InboundOutcome | undefined;
  verdict: Verdict | undefined;
  event_type: string | undefined;
  order_id: number | undefined;
  event_id: string | undefined;
  received_from: string | undefined;
  received_to: string | undefined;
}

/** The bytes of a body as JSON can carry them: as text where they are UTF-8, otherwise in base64. */
export function showBody(
  body: Buffer,
  totalBytes: number,
): Pick<InboundDelivery, 'raw_body' | 'raw_body_encoding' | 'raw_body_bytes' | 'raw_body_truncated'> {
  const truncated = body.length < totalBytes;
  const size = { raw_body_bytes: totalBytes, raw_body_truncated: truncated };
  try {
    // ignoreBOM keeps a BOM. A cut may go through a character: `stream` leaves out what is incomplete at the end.
    const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return { raw_body: utf8.decode(body, { stream: truncated }), raw_body_encoding: 'utf-8', ...size };
  } catch {
    return { raw_body: body.toString('base64'), raw_body_encoding: 'base64', ...size };
  }
}
