import { expect } from 'vitest';

import { applyEvent, type EventType, type Model, type ModelOrder } from './model.ts';
import type { Answer, TestService } from './service.ts';

export interface Real {
  service: TestService;
  /** Keeps the names of one run apart from those of the others, which share the database. */
  run: number;
}

export interface Delivery {
  type: EventType;
  amount: 'whole' | 'none' | 'wrong';
  eventId: number;
}

/** Delivers an event, and holds the answer against the model: new, known, or a changed copy of a known one. */
export async function deliver(model: Model, { service, run }: Real, order: ModelOrder, delivery: Delivery) {
  const { type, amount, eventId } = delivery;
  const cents = { whole: order.cents, none: undefined, wrong: order.cents + 1 }[amount];
  const event = {
    event_type: `payment.${type}`,
    order_id: order.id,
    event_id: `run-${run}-${eventId}`,
    ...(cents === undefined ? {} : { amount: cents / 100 }),
  };
  const key = `${type} ${eventId}`;
  const known = model.events.get(key);
  if (known !== undefined) {
    const isChanged = JSON.stringify(known.event) !== JSON.stringify(event);
    const copyKey = isChanged ? `${key} ${JSON.stringify(event)}` : key;
    const copy = model.events.get(copyKey);
    if (copy !== undefined) return expectKnown(copy, await service.pay(event));
    const review = { status: 'review', reason: 'event_changed', order_id: known.orderId };
    expect((await service.pay(event)).body).toMatchObject(review);
    model.events.set(copyKey, { orderId: order.id, outcome: 'review', event });
    model.reviews += 1;
    return;
  }
  const applied = applyEvent(model, order, type, cents);
  const { status, body } = await service.pay(event);
  expect(status).toBe(200);
  expect(body).toMatchObject({ ...applied, order_id: order.id });
  model.events.set(key, { orderId: order.id, outcome: applied.status, event });
}

export function expectKnown(
  { orderId, outcome }: { orderId: number; outcome: string },
  { status, body }: Answer,
) {
  expect([status, body]).toEqual([200, { status: 'already_processed', order_id: orderId, outcome }]);
}
