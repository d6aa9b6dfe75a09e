/*
 * What becomes of a delivery after a try. Pure: decided by its arguments alone.
 */

/** The type of a message for trying an endpoint out. It is no event of the log. */
export const PING = 'endpoint.ping';

/** Why there is no answer. */
export type SendFault =
  | 'address_refused'
  | 'unresolved'
  | 'unreachable'
  | 'tls'
  | 'timeout'
  | 'broken_off'
  | 'malformed_answer';

/** The outcome of one try. */
export interface Sent {
  /** Null without an answer. */
  readonly status: number | null;
  readonly fault: SendFault | null;
  readonly retryAfter: string | null;
  /** The beginning of the body of the answer. */
  readonly response: string | null;
  readonly durationMs: number;
}

export type Verdict = 'delivered' | 'retry' | 'dead' | 'gone';

const FAULTS: Readonly<Record<SendFault, string>> = {
  address_refused: 'The host leads to an address that is not public',
  unresolved: 'The name of the host cannot be resolved',
  unreachable: 'The host cannot be reached',
  tls: 'No secure connection could be made; check the certificate',
  timeout: 'The receiver did not answer in time',
  broken_off: 'The connection broke off before the answer was complete',
  malformed_answer: 'The answer is not valid HTTP, or its headers are too large',
};

/** Why a try failed, as a sentence; null when it did not. */
export function errorOf({ status, fault }: Sent): string | null {
  if (fault !== null) return FAULTS[fault];
  if (status === null || (status >= 200 && status < 300)) return null;
  if (status === 410) return 'The receiver answered 410: it wants no more events';
  if (status >= 300 && status < 400) return `The receiver answered ${status}; redirects are not followed`;
  return `The receiver answered ${status}`;
}

/** Statuses of 4xx that say nothing about the request. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429]);

/** 410 is the receiver's word that it wants no more; other refusals of the request are final, because it stays the same. */
function verdictOf({ status }: Sent): Exclude<Verdict, 'dead'> | 'refused' {
  if (status === null || status >= 500 || TRANSIENT.has(status)) return 'retry';
  if (status >= 200 && status < 300) return 'delivered';
  return status === 410 ? 'gone' : 'refused';
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** The pause after the first try, the second, and so on; about two days in all. */
export const BACKOFF_MS: readonly number[] = [
  ...[1, 2, 4, 8, 16].map((seconds) => seconds * SECOND),
  MINUTE,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  24 * HOUR,
];
/** Deliveries that failed together do not come back together. */
const SPREAD = 0.2;
const RETRY_AFTER_MAX_MS = 24 * HOUR;

export type Decision =
  | { readonly verdict: 'retry'; readonly delayMs: number }
  | { readonly verdict: Exclude<Verdict, 'retry'> };

interface Circumstances {
  /** Tries of this delivery, with this one, since it was created or sent again by hand. */
  readonly tries: number;
  /** A ping is for the person who waits for its outcome: it is tried once. */
  readonly once: boolean;
  readonly nowMs: number;
  /** From 0 to 1. */
  readonly random: number;
}

export function decide(sent: Sent, { tries, once, nowMs, random }: Circumstances): Decision {
  const verdict = verdictOf(sent);
  if (verdict === 'delivered') return { verdict };
  if (verdict === 'gone') return { verdict: once ? 'dead' : 'gone' };
  const backoffMs = BACKOFF_MS[tries - 1];
  if (verdict === 'refused' || once || backoffMs === undefined) return { verdict: 'dead' };
  const spreadMs = Math.round(backoffMs * (1 + SPREAD * (2 * random - 1)));
  return { verdict, delayMs: Math.max(spreadMs, retryAfterMs(sent.retryAfter, nowMs)) };
}

/** A number of seconds, or a date. What is neither asks for nothing. */
export function retryAfterMs(text: string | null, nowMs: number): number {
  if (text === null) return 0;
  const delayMs = /^\d{1,9}$/.test(text) ? Number(text) * SECOND : Date.parse(text) - nowMs;
  return Number.isNaN(delayMs) ? 0 : Math.min(Math.max(delayMs, 0), RETRY_AFTER_MAX_MS);
}
