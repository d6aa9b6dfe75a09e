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

/** Of a body that nobody has signed, enough is kept to see what its sender is trying. */
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
export function showBody(body: Buffer, totalBytes: number) {
  const truncated = body.length < totalBytes;
  const size = { raw_body_bytes: totalBytes, raw_body_truncated: truncated };
  try {
    // ignoreBOM keeps a BOM. A cut may go through a character: `stream` leaves out what is incomplete at the end.
    const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return {
      raw_body: utf8.decode(body, { stream: truncated }),
      raw_body_encoding: 'utf-8' as const,
      ...size,
    };
  } catch {
    return { raw_body: body.toString('base64'), raw_body_encoding: 'base64' as const, ...size };
  }
}
