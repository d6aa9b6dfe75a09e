import { toAppError } from '../db/pg-errors.ts';
import type { Clock } from '../lib/clock.ts';
import type { InboxMetrics } from './inbox.metrics.ts';
import { type Refusal, UNVERIFIED_BODY_BYTES } from './inbox.ts';
import type { CountedRefusal } from './inbound-delivery.repository.ts';

/*
 * Remembers deliveries that had no effect, behind the back of their answers: no answer ever waits for it, and none fails
 * because of it. A crash in between loses a note about an event that its provider was told to send again; the event
 * itself is not lost.
 *
 * Anybody on the internet can send what is not signed, so all of it is bounded: what waits in memory (many deliveries of
 * one event are one), how often unsigned ones are stored, and how many rows are kept (inbox.service.ts). What is not
 * stored is still counted.
 */
export interface InboxRecorder {
  keep(refusal: Refusal): void;
  /** Resolves when what waits is stored, or when the database cannot take it now; then it goes on waiting. */
  flush(): Promise<void>;
}

export interface InboxRecorderOptions {
  store: (refusals: readonly CountedRefusal[]) => Promise<void>;
  clock: Clock;
  metrics: InboxMetrics;
}

/** With the largest body each (64 KiB), 13 MB. It fills up only while the database is away or slow. */
const MAX_WAITING = 200;
/** A transaction of its own behind each would cost more than the webhooks that are refused. */
const MAX_BATCH = 50;
/** A person trying things out is seen whole; a flood becomes one row a second. */
const UNVERIFIED_BURST = 60;
const UNVERIFIED_PER_SECOND = 1;

export function createInboxRecorder({ store, clock, metrics }: InboxRecorderOptions): InboxRecorder {
  const waiting = new Map<string, CountedRefusal>();
  const unverified = new Allowance(UNVERIFIED_BURST, UNVERIFIED_PER_SECOND, clock);
  let storing: Promise<void> | undefined;

  function isAffordable(refusal: Refusal): boolean {
    return waiting.size < MAX_WAITING && (refusal.verdict === 'valid' || unverified.take());
  }

  async function storeWaiting(): Promise<void> {
    try {
      while (waiting.size > 0) {
        const batch = [...waiting].slice(0, MAX_BATCH);
        for (const [key] of batch) waiting.delete(key);
        await storeBatch(batch);
      }
    } catch {
      // The database is away; the next delivery, or the next tick of the poller, tries again.
    } finally {
      storing = undefined;
    }
  }

  async function storeBatch(batch: readonly [string, CountedRefusal][]): Promise<void> {
    try {
      await store(batch.map(([, refusal]) => refusal));
    } catch (error) {
      const isTemporary = toAppError(error)?.status === 503;
      for (const [key, refusal] of batch) {
        if (isTemporary) waiting.set(key, merge(refusal, waiting.get(key)));
        else metrics.inboxUnrecorded.inc({ verdict: refusal.verdict });
      }
      if (isTemporary) throw error;
    }
  }

  async function flush(): Promise<void> {
    if (waiting.size > 0) storing ??= storeWaiting();
    await storing;
  }

  return {
    flush,
    keep(refusal) {
      const key = `${refusal.verdict} ${refusal.identity}`;
      const earlier = waiting.get(key);
      if (earlier === undefined && !isAffordable(refusal)) {
        metrics.inboxUnrecorded.inc({ verdict: refusal.verdict });
        return;
      }
      const at = new Date(clock.nowMs()).toISOString();
      const counted = { ...bounded(refusal), deliveries: 1, receivedAt: at, lastDeliveredAt: at };
      waiting.set(key, earlier === undefined ? counted : merge(earlier, counted));
      void flush();
    },
  };
}

/** A copy of the part in memory of its own: a slice would keep the whole, and Node's pool up to 64 KiB beside it. */
function bounded(refusal: Refusal): Refusal {
  if (refusal.verdict === 'valid' || refusal.rawBody.length <= UNVERIFIED_BODY_BYTES) return refusal;
  const rawBody = Buffer.allocUnsafeSlow(UNVERIFIED_BODY_BYTES);
  refusal.rawBody.copy(rawBody);
  return { ...refusal, rawBody };
}

function merge(earlier: CountedRefusal, later: CountedRefusal | undefined): CountedRefusal {
  if (later === undefined) return earlier;
  const deliveries = earlier.deliveries + later.deliveries;
  return { ...later, deliveries, receivedAt: earlier.receivedAt };
}

/** A token bucket: so many at once, and then so many a second. */
class Allowance {
  #left: number;
  #at: number;
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #clock: Clock;

  constructor(burst: number, perSecond: number, clock: Clock) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#left = burst;
    this.#at = clock.nowMs();
  }

  take(): boolean {
    const now = this.#clock.nowMs();
    // A clock that is set back gives nothing, and takes nothing away.
    const earned = (Math.max(0, now - this.#at) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#burst, this.#left + earned);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
