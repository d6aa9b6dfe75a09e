import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { claimConsumer, moveConsumer } from '../events/consumer.repository.ts';
import type { PublicEvent } from '../events/event.schemas.ts';
import type { EventReader, OutgoingEvent } from '../events/feed.service.ts';
import { insertDeliveries, listTargets, type NewDelivery, type Target } from './fan-out.repository.ts';

/*
 * Copies events to the deliveries of the endpoints that want them. It is a consumer of the log with a place of its own, so
 * the transactions that write events do nothing for it. Deliveries and the new place are committed together, so each event
 * becomes one delivery for each endpoint, whatever crashes in between. One instance at a time does it; the others go on.
 */

/** Each has a body of a KB or two, once for each endpoint on the way to the database. */
const EVENTS_MAX = 200;

export interface FanOut {
  deliveries: number;
  /** Nothing is left to be copied, or another instance does it. */
  isEnd: boolean;
}

const NOTHING: FanOut = { deliveries: 0, isEnd: true };

export async function fanOutOnce(db: Db, read: EventReader): Promise<FanOut> {
  // Most services have no endpoints, and then this is all that happens.
  if ((await listTargets(db)).length === 0) return NOTHING;
  return inTransaction(db, (tx) => copyEvents(tx, read));
}

async function copyEvents(tx: Tx, read: EventReader): Promise<FanOut> {
  const position = await claimConsumer(tx, 'webhooks');
  if (position === undefined) return NOTHING;
  // Under the claim: an endpoint that is created waits for it, or is seen here.
  const targets = await listTargets(tx);
  if (targets.length === 0) return NOTHING;
  const types = targets.every((target) => target.types !== null)
    ? [...new Set(targets.flatMap((target) => target.types ?? []))]
    : undefined;
  const { events, next, isEnd } = await read(tx, position, { types, limit: EVENTS_MAX });
  const wanted = events.flatMap((event) =>
    targets.filter((target) => wants(target, event.event)).map((target) => toDelivery(target, event)),
  );
  const deliveries = await insertDeliveries(tx, wanted);
  await moveConsumer(tx, 'webhooks', next);
  return { deliveries, isEnd };
}

function wants({ id, types }: Target, event: PublicEvent): boolean {
  // An endpoint that fails must not be sent the news of it, which would fail, too.
  return subjectOf(event) !== id && (types === null || types.includes(event.type));
}

/** The endpoint that an event is about, if it is about one. */
function subjectOf({ aggregate_type, data }: PublicEvent): number | undefined {
  if (aggregate_type !== 'webhook_endpoint' && aggregate_type !== 'webhook_delivery') return undefined;
  // What the definitions of these events promise (endpoint.events.ts).
  return (data['endpoint'] as { id: number }).id;
}

function toDelivery({ id }: Target, { position, traceparent, event }: OutgoingEvent): NewDelivery {
  return {
    endpointId: id,
    position,
    eventId: event.id,
    eventType: event.type,
    aggregateType: event.aggregate_type,
    aggregateId: event.aggregate_id,
    body: bodyOf(event),
    traceparent,
  };
}

/** What is sent: the event, and its time under the name that Standard Webhooks gives it. */
export function bodyOf(event: PublicEvent): string {
  const { id, type, ...rest } = event;
  return JSON.stringify({ id, type, timestamp: event.occurred_at, ...rest });
}
