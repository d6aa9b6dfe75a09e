import { type Static, Type } from '@sinclair/typebox';

import { Id, Timestamp } from '../http/schemas.ts';
import { aggregateTypes } from './define-event.ts';

/** A place in the log, as callers send it. */
export const CURSOR_PATTERN = '^[A-Za-z0-9_-]{4,64}$';

export const EventSchema = Type.Object(
  {
    id: Type.String({ description: 'Unique, and the cursor behind this event' }),
    type: Type.String({ description: 'What happened; more types may be added' }),
    occurred_at: Timestamp,
    aggregate_type: Type.Union(aggregateTypes.map((name) => Type.Literal(name))),
    aggregate_id: Id,
    version: Type.Integer({
      description:
        'The version of the aggregate after the change; of two events, the higher one is the later state',
    }),
    actor: Type.String({ description: 'On whose behalf the change was made' }),
    request_id: Type.Union([Type.String(), Type.Null()], { description: 'The request that made the change' }),
    data: Type.Record(Type.String(), Type.Unknown(), {
      description:
        'The resource as it is after the change, and what else the type says (`webhooks` of this document)',
    }),
  },
  { $id: 'Event' },
);

/** An event as every outlet shows it. */
export type PublicEvent = Static<typeof EventSchema>;
