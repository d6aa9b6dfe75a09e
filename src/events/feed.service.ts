import type { Db } from '../db/types.ts';
import { type Page, PAGE_LIMIT_DEFAULT } from '../lib/page.ts';
import { resolveCursor } from './cursor.ts';
import type { PublicEvent } from './event.schemas.ts';
import { type FeedFilter, findBeginning, readFeed, type StoredEvent } from './feed.repository.ts';
import { encodePosition, type Position } from './position.ts';

/** An event with its place and the trace of the request that made it, for outlets within the service. */
export interface OutgoingEvent {
  readonly position: Position;
  readonly traceparent: string | null;
  readonly event: PublicEvent;
}

export interface OutgoingPage {
  readonly events: OutgoingEvent[];
  /** Where to go on: behind the last event that was looked at, also when none of them was of the wanted types. */
  readonly next: Position;
  /** Nothing visible is left behind `next`. */
  readonly isEnd: boolean;
}

/**
 * Payloads that are not stored, because rows that never change say the same: by the type of the event, a function from the
 * ids of aggregates to payloads.
 */
export type PayloadsFromRows = Readonly<
  Record<string, (db: Db, ids: readonly number[]) => Promise<ReadonlyMap<number, unknown>>>
>;

/** Reads the log in its order, as every outlet shows it. */
export type EventReader = (db: Db, after: Position, filter: FeedFilter) => Promise<OutgoingPage>;

/** @param fromRows the payloads of the types that store none; features know them, and the log does not know features */
export function createEventReader(fromRows: PayloadsFromRows): EventReader {
  return async (db, after, filter) => {
    const { events, ...rest } = await readFeed(db, after, filter);
    return { events: await completeEvents(db, events, fromRows), ...rest };
  };
}

/** How many times one call looks for events of rare types, each time among 5,000: tenths of a second. */
const READS_MAX = 10;

export interface FeedQuery {
  /** The cursor as the caller sent it. */
  after?: string | undefined;
  types?: readonly string[] | undefined;
  limit?: number | undefined;
}

export type FeedService = ReturnType<typeof createFeedService>;

export function createFeedService({ lists, read }: { lists: Db; read: EventReader }) {
  return {
    /**
     * Events behind a cursor. The page always leads on, also from the end of the log.
     * @throws AppError validation_failed for an impossible cursor, events_expired
     */
    async list({ after, types, limit = PAGE_LIMIT_DEFAULT }: FeedQuery): Promise<Page<PublicEvent>> {
      let next =
        after === undefined ? await findBeginning(lists) : await resolveCursor(lists, after, 'query/after');
      let found: OutgoingPage;
      let reads = 0;
      do {
        found = await read(lists, next, { types, limit });
        ({ next } = found);
        reads += 1;
      } while (found.events.length === 0 && !found.isEnd && reads < READS_MAX);
      return {
        items: found.events.map(({ event }) => event),
        nextCursor: encodePosition(next),
        cursorAfter: ({ id }) => id,
      };
    },
  };
}

/** Events with the payloads that are not stored, in the same order. */
export async function completeEvents(
  db: Db,
  events: readonly StoredEvent[],
  fromRows: PayloadsFromRows,
): Promise<OutgoingEvent[]> {
  const payloads = new Map<string, ReadonlyMap<number, unknown>>();
  for (const [type, read] of Object.entries(fromRows)) {
    const ids = events.filter((e) => e.type === type && e.payload === null).map((e) => e.aggregateId);
    if (ids.length > 0) payloads.set(type, await read(db, ids));
  }
  return events.map((event) => {
    const payload = event.payload ?? payloads.get(event.type)?.get(event.aggregateId);
    if (payload === undefined) throw new Error(`an event ${event.type} has no payload`);
    const { position, traceparent } = event;
    return { position, traceparent, event: toPublic(event, payload) };
  });
}

function toPublic(event: StoredEvent, payload: unknown): PublicEvent {
  return {
    id: encodePosition(event.position),
    type: event.type,
    occurred_at: event.occurredAt,
    aggregate_type: event.aggregateType,
    aggregate_id: event.aggregateId,
    version: event.aggregateVersion,
    actor: event.actor,
    request_id: event.requestId,
    // A payload is an object (define-event.ts).
    data: payload as Record<string, unknown>,
  };
}
