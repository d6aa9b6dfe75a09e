import { type Static, type TProperties, type TSchema, Type } from '@sinclair/typebox';

import type { Caller } from '../lib/caller.ts';

/*
 * The registry of events. Each feature defines the types that it writes in its `*.events.ts`, with the schema of the
 * payload. `newEvent` builds every event and `appendEvents` (event.repository.ts) writes it. The one exception is
 * placing an order, whose one statement inserts the rows of `order.created` itself, with the type from the registry.
 */

/** What an event is about (`events_aggregate_type_known`). */
export const aggregateTypes = [
  'product',
  'order',
  'payment_exception',
  'webhook_endpoint',
  'webhook_delivery',
] as const;
export type AggregateType = (typeof aggregateTypes)[number];

/** One type of event. `Payload` is the type of what `payload` describes. */
export interface EventDefinition<Payload = unknown, Type extends string = string> {
  readonly type: Type;
  readonly aggregate: AggregateType;
  /** The members of the payload. A schema with an `$id` is referred to by it. */
  readonly payload: TSchema & { readonly static: Payload };
}

/** A change, written by the transaction that makes it, or not at all. */
export interface NewEvent {
  readonly type: string;
  readonly aggregateType: AggregateType;
  readonly aggregateId: number;
  /** The aggregate's version after the change. */
  readonly aggregateVersion: number;
  readonly payload: unknown;
  readonly caller: Caller;
}

/** @param payload the members of the payload: the resource as it is after the change, and what else belongs to it */
export function defineEvent<const Type extends string, Members extends TProperties>(
  type: Type,
  { aggregate, payload }: { aggregate: AggregateType; payload: Members },
): EventDefinition<{ [Name in keyof Members]: Static<Members[Name]> }, Type> {
  const members = Object.entries(payload).map(([name, schema]) => [name, refer(schema)] as const);
  return { type, aggregate, payload: Type.Unsafe(Type.Object(Object.fromEntries(members))) };
}

function refer(schema: TSchema): TSchema {
  return schema.$id === undefined ? schema : Type.Ref(schema.$id);
}

/** @param subject the aggregate after the change */
export function newEvent<Payload>(
  { type, aggregate }: EventDefinition<Payload>,
  subject: { readonly id: number; readonly version: number },
  payload: Payload,
  caller: Caller,
): NewEvent {
  const { id: aggregateId, version: aggregateVersion } = subject;
  return { type, aggregateType: aggregate, aggregateId, aggregateVersion, payload, caller };
}
