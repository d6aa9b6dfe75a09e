import { expect, test } from 'vitest';

import { Subscriber, toFrame } from '../../src/events/stream/subscriber.ts';
import { encodePosition, type Position } from '../../src/events/position.ts';

const at = (id: number): Position => ({ epoch: 1, transactionId: '7', id });

function frame(id: number, type = 'order.paid', text = '') {
  const event = {
    id: encodePosition(at(id)),
    type,
    occurred_at: '2026-01-02T03:04:05.678Z',
    aggregate_type: 'order' as const,
    aggregate_id: id,
    version: 1,
    actor: 'test',
    request_id: null,
    data: { text },
  };
  return toFrame({ position: at(id), traceparent: null, event });
}

const taken = (subscriber: Subscriber) => String(subscriber.output.read() ?? '');

test('a stream says at once where it stands, and skips what it has and what is not wanted', () => {
  const subscriber = new Subscriber(at(2), ['order.paid']);
  expect(taken(subscriber)).toBe(`retry: 1000\nid: ${encodePosition(at(2))}\n\n`);
  subscriber.send([frame(1), frame(2), frame(3), frame(4, 'order.created')], at(4));
  const sent = taken(subscriber);
  expect(sent).toBe(`id: ${encodePosition(at(3))}\ndata: ${JSON.stringify(frame(3).event)}\n\n`);
  expect(subscriber.position).toEqual(at(4));
  // The reader of all streams may be behind this one.
  subscriber.send([frame(3)], at(3));
  expect([taken(subscriber), subscriber.position]).toEqual(['', at(4)]);
});

test('a line break in the data does not break a message', () => {
  const subscriber = new Subscriber(at(0), undefined);
  taken(subscriber);
  subscriber.send([frame(1, 'order.paid', 'a\n\nid: forged\n\n\r\n')], at(1));
  expect(taken(subscriber).split('\n')).toHaveLength(4);
});

test('a client that takes nothing between two beats is stuck; one that takes a little is not', () => {
  const subscriber = new Subscriber(at(0), undefined);
  taken(subscriber);
  expect(subscriber.beat()).toBe(true);
  expect(taken(subscriber)).toMatch(/^: heartbeat\nid: /);
  subscriber.send([frame(1), frame(2)], at(2));
  expect(subscriber.beat()).toBe(true);
  subscriber.output.read(10);
  expect(subscriber.beat()).toBe(true);
  expect(subscriber.beat()).toBe(false);
  taken(subscriber);
  expect(subscriber.beat()).toBe(true);
});

test('a client is too far behind with more than 1 MB that it has not taken', () => {
  const subscriber = new Subscriber(at(0), undefined);
  const text = 'x'.repeat(100_000);
  for (let id = 1; id <= 10; id++) subscriber.send([frame(id, 'order.paid', text)], at(id));
  expect(subscriber.isTooFarBehind()).toBe(false);
  subscriber.send([frame(11, 'order.paid', text)], at(11));
  expect(subscriber.isTooFarBehind()).toBe(true);
});

test('the end of a stream says where to go on, and nothing comes after it', () => {
  const subscriber = new Subscriber(at(5), undefined);
  taken(subscriber);
  subscriber.end();
  subscriber.send([frame(6)], at(6));
  subscriber.beat();
  subscriber.end();
  expect(taken(subscriber)).toBe(`id: ${encodePosition(at(5))}\n\n`);
  expect(subscriber.isOpen).toBe(false);
});
