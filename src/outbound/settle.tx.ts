import type { Tx } from '../db/types.ts';
import { type EventDefinition, type NewEvent, newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { Caller } from '../lib/caller.ts';
import type { Verdict } from './delivery-rules.ts';
import { type EndpointChange, markEndpoint, lockEndpoint } from './endpoint.repository.ts';
import { deliveryFailed, endpointDisabled, endpointFailing, endpointRecovered } from './endpoint.events.ts';
import type { DeliverySummary, Endpoint } from './endpoint.schemas.ts';
import { summaryOf } from './endpoint.ts';
import { type Claim, moveFollowers, type Outcome, settleDeliveries } from './relay.repository.ts';

/** A try, and what became of it. */
export interface Settled {
  readonly claim: Claim;
  readonly verdict: Verdict;
  readonly outcome: Outcome;
}

/** After the quick retries of the first half minute, a person should hear of it. */
const FAILING_TRIES = 6;
const RELAY: Caller = { actor: 'system', requestId: null };

/**
 * Writes what became of deliveries, and what follows from it for their endpoints: one that answers 410 is disabled, one that
 * fails for long is marked, and each dead letter is told.
 * @returns the ids of the deliveries whose lease was still the latest
 */
export async function settleAll(tx: Tx, all: readonly Settled[]): Promise<Set<number>> {
  const ids = await settleDeliveries(
    tx,
    all.map(({ outcome }) => outcome),
  );
  const settled = all.filter(({ claim }) => ids.has(claim.id));
  // What arrives at the first try has nothing waiting behind a time of its own.
  const retried = settled.filter(({ claim, verdict }) => verdict !== 'delivered' || claim.tries > 0);
  if (retried.length > 0) {
    await moveFollowers(
      tx,
      retried.map(({ claim }) => claim.id),
    );
  }
  // By endpoint, so that two relays lock them in one order.
  const telling = settled.filter(hasNews).toSorted((a, b) => a.claim.endpointId - b.claim.endpointId);
  for (const one of telling) await tellOf(tx, one);
  return ids;
}

function isAlert({ eventType }: Claim): boolean {
  return /^(endpoint|delivery)\./.test(eventType);
}

function hasNews({ claim, verdict }: Settled): boolean {
  if (verdict === 'delivered') return claim.failing;
  return verdict !== 'retry' || (claim.tries + 1 >= FAILING_TRIES && !claim.failing);
}

async function tellOf(tx: Tx, settled: Settled): Promise<void> {
  const { claim, verdict } = settled;
  const locked = await lockEndpoint(tx, claim.endpointId);
  if (locked === undefined) return;
  const { endpoint } = locked;
  // A dead letter of an alert is no news: two endpoints that fail would tell each other for ever.
  if (verdict === 'dead' && !isAlert(claim)) {
    const delivery = summarize(settled);
    const subject = { id: claim.id, version: claim.lease };
    await appendEvents(tx, [
      newEvent(deliveryFailed, subject, { endpoint: summaryOf(endpoint), delivery }, RELAY),
    ]);
  }
  const isFailing = endpoint.failing_since !== null;
  if (verdict === 'delivered' && isFailing) {
    await change(tx, endpoint, { failing: false }, endpointRecovered, {});
  } else if (verdict === 'gone' && endpoint.status === 'enabled') {
    await change(tx, endpoint, { failing: true, status: 'disabled' }, endpointDisabled, {
      delivery: summarize(settled),
    });
  } else if (verdict === 'retry' && !isFailing) {
    await change(tx, endpoint, { failing: true }, endpointFailing, { delivery: summarize(settled) });
  }
}

async function change<Rest extends object>(
  tx: Tx,
  { id }: Endpoint,
  to: EndpointChange,
  type: EventDefinition<{ endpoint: ReturnType<typeof summaryOf> } & Rest>,
  rest: Rest,
): Promise<void> {
  const endpoint = await markEndpoint(tx, id, to);
  const event: NewEvent = newEvent(type, endpoint, { endpoint: summaryOf(endpoint), ...rest }, RELAY);
  await appendEvents(tx, [event]);
}

function summarize({ claim, outcome }: Settled): DeliverySummary {
  const { status, error } = outcome.attempt;
  const { id, eventId, eventType, tries } = claim;
  return { id, event_id: eventId, event_type: eventType, tries: tries + 1, status, error };
}
