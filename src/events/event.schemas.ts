import type { Readable } from 'node:stream';

import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { page } from '../http/answers.ts';
import { Id, oneOf, pageQuery, Timestamp } from '../http/schemas.ts';
import { aggregateTypes } from './define-event.ts';

const tags = ['Events'];

const example = {
  id: 'MS4xMDQyLjMxNw',
  type: 'order.shipped',
  occurred_at: '2026-01-02T03:04:05.678Z',
  aggregate_type: 'order',
  aggregate_id: 1,
  version: 3,
  actor: 'anonymous',
  request_id: 'BTBf4LRhayFa-2',
  data: {
    order: {
      id: 1,
      status: 'SHIPPED',
      items: [{ product_id: 1, sku: 'MUG-BLUE', quantity: 2, unit_price: 29.99 }],
      total: 59.98,
      version: 3,
    },
    transition: { from: 'PAID', to: 'SHIPPED', cause: 'request', refund_due: false },
  },
};

export const EventSchema = Type.Object(
  {
    id: Type.String({ description: 'Unique, and the cursor behind this event' }),
    type: Type.String({ description: 'What happened; types may be added' }),
    occurred_at: Timestamp,
    aggregate_type: oneOf(aggregateTypes),
    aggregate_id: Id,
    version: Type.Integer({
      description:
        'The version of the aggregate after the change. Of two events, the higher one has the later state',
    }),
    actor: Type.String({ description: 'On whose behalf the change was made' }),
    request_id: Type.Union([Type.String(), Type.Null()], {
      description: 'The X-Request-ID of the request that made the change; null for background work',
    }),
    data: Type.Record(Type.String(), Type.Unknown(), {
      description: 'The resource as it is after the change, and what else belongs to the type',
    }),
  },
  { $id: 'Event', description: 'A change that was committed', examples: [example] },
);

/** An event as every outlet shows it. */
export type PublicEvent = Static<typeof EventSchema>;

const Cursor = Type.String({ minLength: 1, maxLength: 100, examples: [example.id] });

/** @param types every type that there is */
function typesFilter(types: readonly string[]) {
  const type = `(${types.join('|').replaceAll('.', String.raw`\.`)})`;
  return Type.String({
    pattern: `^${type}(,${type})*$`,
    maxLength: 2000,
    'x-message': `must be types of events, separated by commas: ${types.join(', ')}`,
    'x-fix': 'Send types such as order.paid,order.shipped, or leave it out for all.',
    description: 'Only these types, separated by commas',
    examples: ['order.paid,order.shipped'],
  });
}

export function listEvents(types: readonly string[]) {
  const { limit } = pageQuery('oldest first');
  return {
    operationId: 'listEvents',
    summary: 'Read the events after a cursor, oldest first',
    description:
      'The feed of all changes. Each event comes once, in an order that never changes, and none that commits late is ' +
      'skipped. Follow the Link header, which every page has; an empty page says that there is nothing new yet. The `id` ' +
      'of an event is the cursor behind it.',
    tags,
    querystring: Type.Object(
      {
        after: Type.Optional({
          ...Cursor,
          description: 'The `id` of the last event that you have; without it, from the oldest',
        }),
        types: Type.Optional(typesFilter(types)),
        limit,
      },
      { additionalProperties: false },
    ),
    response: page(EventSchema, '/events', `</events?limit=20&after=${example.id}>; rel="next"`),
    problems: ['events_expired', 422, 503],
  } satisfies FastifySchema;
}

export function streamEvents(types: readonly string[]) {
  return {
    operationId: 'streamEvents',
    summary: 'Follow the events live, as server-sent events',
    description:
      'Begins behind `Last-Event-ID` or `after`, else now. Each message has the `id` of its event and the event as `data`. ' +
      'A comment every 10 s keeps the connection open. A client that takes nothing in is cut off, and every stream ends ' +
      'after an hour at the latest: come back with the last `id`, as `EventSource` does by itself.',
    tags,
    headers: Type.Object({
      'last-event-id': Type.Optional({
        ...Cursor,
        description: 'The last `id` that was received; goes before `after`',
      }),
    }),
    querystring: Type.Object(
      {
        after: Type.Optional({
          ...Cursor,
          description: 'The `id` of the last event that you have; without it, from now on',
        }),
        types: Type.Optional(typesFilter(types)),
      },
      { additionalProperties: false },
    ),
    response: {
      200: {
        description: 'Server-sent events, until one side ends',
        content: { 'text/event-stream': { schema: EventStreamText } },
      },
    },
    problems: ['events_expired', 422, 503],
  } satisfies FastifySchema;
}

const EventStreamText = Type.Unsafe<Readable>({
  type: 'string',
  examples: [`id: ${example.id}\ndata: ${JSON.stringify(example)}\n\n`],
});
