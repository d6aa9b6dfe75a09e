import { inTransaction } from '../db/transaction.ts';
import type { Db } from '../db/types.ts';
import { type Batcher, createBatcher } from '../lib/batcher.ts';
import { createDeferred } from '../lib/deferred.ts';
import type { Clock } from '../lib/clock.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { PING, type Decision, decide, errorOf, type Sent } from './delivery-rules.ts';
import { openSecrets } from './endpoint-secrets.ts';
import { fanOutOnce } from './fan-out.service.ts';
import type { EventReader } from '../events/feed.service.ts';
import type { OutboundMetrics } from './outbound.metrics.ts';
import { type Claim, claimDeliveries, type Outcome, releaseClaims } from './relay.repository.ts';
import type { Sender } from './sender.ts';
import { type Settled, settleAll } from './settle.tx.ts';

/*
 * The relay: claims deliveries that are due, sends them and writes what became of them. Any number of instances do so at once.
 *
 * - A claim is a lease, committed before anything is sent. A relay that dies delays its deliveries until their leases end; they
 *   are then sent again with the same webhook-id. So each arrives at least once.
 * - A claim counts the lease up, and an outcome is written only under the latest lease: a relay that was suspended past its lease
 *   changes nothing.
 * - Each endpoint has so many deliveries under way and no more, and a failing one fewer still. So an endpoint that hangs holds up
 *   nothing but itself.
 * - No transaction is open while a delivery is sent, and outcomes that come together share one.
 */

/** Longer than a try may take (sender.ts), so that a lease ends only when its relay has died or was suspended. */
const LEASE_MS = 30_000;
/** Of one endpoint, at once. The receiver must take as many requests at a time. */
export const PER_ENDPOINT = 50;
const PER_FAILING = 2;
const SETTLE_BATCH = 200;
/** All that can be under way: 50 endpoints. */
const SETTLE_QUEUE = 5000;
/** A run of the relay goes on as soon as a delivery is settled, and looks for new ones after this at the latest. */
const PROGRESS_MS = 50;

export interface RelayDependencies {
  db: Db;
  readEvents: EventReader;
  /** Undefined without SECRETS_KEY: nothing can be signed. */
  box: SecretBox | undefined;
  sender: Sender;
  clock: Clock;
  metrics: OutboundMetrics;
  leaseMs?: number | undefined;
  /** From 0 to 1, to spread retries. */
  random?: () => number;
}

export function createRelay(dependencies: RelayDependencies) {
  const { db, box, readEvents, sender } = dependencies;
  const deliveries = createDeliverer(dependencies);
  return {
    /** Copies new events to the endpoints that want them. */
    fanOutOnce: () => fanOutOnce(db, readEvents),

    /** Claims and sends what is due and fits, and waits for the outcomes. @returns how many were claimed */
    async relayOnce(): Promise<number> {
      if (box === undefined) return 0;
      const sends = await deliveries.begin(box);
      await Promise.all(sends);
      return sends.length;
    },

    /**
     * Works until nothing is left that could be done now. It does not wait for what is under way, so an endpoint that hangs
     * ends no run and delays none.
     */
    async run(isStopping: () => boolean, onError: (error: unknown) => void): Promise<void> {
      if (box === undefined) return;
      for (;;) {
        const { isEnd } = await fanOutOnce(db, readEvents);
        const progress = deliveries.nextProgress();
        const sends = await deliveries.begin(box);
        for (const send of sends) send.catch(onError);
        if (isStopping() || (sends.length === 0 && isEnd)) return;
        if (sends.length > 0) await atMost(PROGRESS_MS, progress);
      }
    },

    /** Gives up what is under way; others may claim it at once. */
    async stop(): Promise<void> {
      const abandoned = deliveries.abandon();
      await sender.close();
      await deliveries.settler.stop();
      await releaseClaims(db, abandoned());
    },
  };
}

/** Sends claimed deliveries, and knows which are under way. */
function createDeliverer(dependencies: RelayDependencies) {
  const { db, metrics, sender, leaseMs = LEASE_MS } = dependencies;
  const settler = createSettler(db);
  const claimSizes = metrics.webhookClaims.addSeries({});
  const durations = metrics.webhookAttemptDuration.addSeries({});
  const underWay = new Map<number, Set<Claim>>();
  let progress = createDeferred();
  let stopping = false;

  async function deliver(claim: Claim, box: SecretBox): Promise<void> {
    const others = underWay.get(claim.endpointId) ?? new Set();
    underWay.set(claim.endpointId, others.add(claim));
    let isSettled = false;
    try {
      const secrets = openSecrets(box, claim.endpointId, claim);
      const { url, eventId: id, body, traceparent } = claim;
      const at = new Date(dependencies.clock.nowMs()).toISOString();
      const sent = await sender.send({ url, id, body, secrets, traceparent });
      // The sender was closed under it, so that its failure says nothing.
      if (stopping && sent.status === null) return;
      durations.observe(sent.durationMs / 1000);
      const settled = toSettled(claim, sent, at, dependencies);
      const isWritten = await settler.submit(settled);
      metrics.webhookAttempts.inc({ outcome: isWritten ? settled.verdict : 'lost' });
      isSettled = true;
    } finally {
      // What a stop leaves behind is released.
      if (isSettled || !stopping) others.delete(claim);
      if (others.size === 0) underWay.delete(claim.endpointId);
      progress.resolve();
    }
  }

  return {
    settler,
    /** Claims what is due and fits, and begins to send it. The sends go on by themselves. */
    async begin(box: SecretBox): Promise<Promise<void>[]> {
      if (stopping) return [];
      const room = {
        underWay: new Map([...underWay].map(([endpointId, { size }]) => [endpointId, size])),
        perEndpoint: PER_ENDPOINT,
        perFailing: PER_FAILING,
      };
      const claims = await claimDeliveries(db, room, leaseMs);
      if (claims.length > 0) claimSizes.observe(claims.length);
      return claims.map((claim) => deliver(claim, box));
    },
    /** Resolved when the next delivery is settled. */
    nextProgress(): Promise<void> {
      progress = createDeferred();
      return progress.promise;
    },
    /** Nothing is begun any more. @returns what is under way by the time that it is called */
    abandon(): () => Claim[] {
      stopping = true;
      return () => [...underWay.values()].flatMap((claims) => [...claims]);
    },
  };
}

function createSettler(db: Db): Batcher<Settled, boolean> {
  return createBatcher({
    work: (draw) => {
      const settled = draw();
      return inTransaction(db, (tx) => settleAll(tx, settled)).then((ids) =>
        settled.map(({ claim }) => ids.has(claim.id)),
      );
    },
    maxBatch: SETTLE_BATCH,
    lanes: 1,
    maxQueue: SETTLE_QUEUE,
  });
}

function toSettled(
  claim: Claim,
  sent: Sent,
  at: string,
  { clock, random = Math.random }: Pick<RelayDependencies, 'clock' | 'random'>,
): Settled {
  const circumstances = {
    tries: claim.tries + 1,
    once: claim.eventType === PING,
    nowMs: clock.nowMs(),
    random: random(),
  };
  const decision = decide(sent, circumstances);
  const outcome: Outcome = {
    id: claim.id,
    lease: claim.lease,
    ...statusAfter(decision),
    attempt: {
      at,
      status: sent.status,
      duration_ms: sent.durationMs,
      error: errorOf(sent),
      response: sent.response,
    },
  };
  return { claim, verdict: decision.verdict, outcome };
}

/** A delivery to an endpoint that is gone waits with the others until the endpoint is enabled again. */
function statusAfter(decision: Decision): Pick<Outcome, 'status' | 'delayMs'> {
  if (decision.verdict === 'retry') return { status: 'pending', delayMs: decision.delayMs };
  if (decision.verdict === 'gone') return { status: 'pending', delayMs: 0 };
  return { status: decision.verdict, delayMs: 0 };
}

async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
