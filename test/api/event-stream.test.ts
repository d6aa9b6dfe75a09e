import { beforeAll, expect, test } from 'vitest';

import { closeApp } from '../../src/http/drain.ts';
import { listenOnPort, received, StreamClient } from '../support/event-stream.ts';
import { useSharedService, useTestService } from '../support/service.ts';

const service = useSharedService({ streamLimits: { streamsMax: 5, heartbeatMs: 400 } });
let url: string;
beforeAll(async () => {
  url = await listenOnPort(service);
});

const metric = async (name: string) =>
  Number(new RegExp(`^${name} (.*)$`, 'm').exec((await service.call('GET', '/metrics')).text)?.[1]);

test('a stream begins now and gets each event as it is committed, with its id, and heartbeats between', async () => {
  const before = await service.createProduct();
  // Transactions of other tests may hold back what is committed; it would then come after now.
  await expect
    .poll(async () => (await service.call('GET', '/events')).body)
    .toContainEqual(expect.objectContaining({ aggregate_id: before.id }));
  const stream = (await StreamClient.open(`${url}/events/stream`)).read();
  expect(stream.response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const product = await service.createProduct();
  const order = await service.placeOrder(product.id, 1);
  await received(stream, 'order.created', order.id);
  expect(stream.events.map(({ type }) => type)).toEqual(['product.created', 'order.created']);
  expect(stream.events[1]?.data).toEqual({ order });
  expect(stream.lastId).toBe(stream.events[1]?.id);
  await expect.poll(() => stream.heartbeats).toBeGreaterThan(1);
  // What the feed shows is the same.
  const feed = await service.call('GET', `/events?after=${stream.events[0]?.id}`);
  expect(feed.body).toEqual(stream.events.slice(1));
});

test('a client that comes back with Last-Event-ID gets what it has missed, once, and then goes on live', async () => {
  const first = (await StreamClient.open(`${url}/events/stream`)).read();
  const product = await service.createProduct();
  await received(first, 'product.created', product.id);
  first.close();
  const missed = [await service.placeOrder(product.id, 1), await service.placeOrder(product.id, 1)];
  const again = await StreamClient.open(`${url}/events/stream?after=ignored`, {
    'last-event-id': first.lastId,
  });
  again.read();
  await received(again, 'order.created', missed[1]?.id ?? 0);
  const live = await service.placeOrder(product.id, 1);
  await received(again, 'order.created', live.id);
  expect(again.events.map((event) => event.aggregate_id)).toEqual([...missed.map(({ id }) => id), live.id]);
  // Also by the query, for clients that cannot send the header at first.
  const byQuery = (await StreamClient.open(`${url}/events/stream?after=${first.lastId}`)).read();
  await received(byQuery, 'order.created', live.id);
  expect(byQuery.events).toEqual(again.events);
});

test('of many streams that join in the middle of 60 orders, each gets every later event once and in order', async () => {
  const product = await service.createProduct({ stock: 1000 });
  const [{ id: start } = { id: '' }] = (await service.call('GET', '/events?limit=1')).body;
  const streams: StreamClient[] = [];
  const orders: Promise<{ id: number }>[] = [];
  for (let n = 0; n < 60; n++) {
    orders.push(service.placeOrder(product.id, 1));
    if (n % 20 === 10) streams.push((await StreamClient.open(`${url}/events/stream?after=${start}`)).read());
  }
  await Promise.all(orders);
  const last = await service.placeOrder(product.id, 1);
  for (const stream of streams) await received(stream, 'order.created', last.id);
  const feed = await service.call('GET', `/events?after=${start}&limit=1000`);
  for (const { events } of streams) expect(events).toEqual(feed.body);
});

test('types are filtered, and the id of a heartbeat spares a long replay', async () => {
  const stream = (await StreamClient.open(`${url}/events/stream?types=order.paid`)).read();
  const product = await service.createProduct();
  const order = await service.placeOrder(product.id, 1);
  const heartbeats = stream.heartbeats;
  const { lastId } = stream;
  await expect.poll(() => stream.lastId !== lastId && stream.heartbeats > heartbeats).toBe(true);
  expect(stream.events).toEqual([]);
  const rest = await service.call('GET', `/events?after=${stream.lastId}`);
  expect([rest.status, rest.body]).toEqual([200, []]);
  await service.pay({ event_type: 'payment.succeeded', order_id: order.id, event_id: 'paid' });
  await received(stream, 'order.paid', order.id);
});

test('impossible cursors and types are refused before a stream begins, and HEAD opens none', async () => {
  for (const [path, headers, fault] of [
    ['after=x', {}, 'query/after'],
    ['', { 'last-event-id': 'MS45OTk5OTk5OTkuOTk5' }, 'header/last-event-id'],
    ['types=nothing', {}, 'query/types'],
  ] as const) {
    const { status, body } = await service.call('GET', `/events/stream?${path}`, undefined, headers);
    expect([status, body.errors[0].path]).toEqual([422, fault]);
  }
  expect((await service.call('HEAD', '/events/stream')).status).toBe(405);
});

test('a sixth stream is refused with 503 when five are the most, and one that closes makes room', async () => {
  await expect.poll(() => metric('event_streams_open')).toBe(0);
  const streams: StreamClient[] = [];
  for (let n = 0; n < 5; n++) streams.push((await StreamClient.open(`${url}/events/stream`)).read());
  expect(await metric('event_streams_open')).toBe(5);
  const refused = await service.call('GET', '/events/stream');
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '10']);
  streams[0]?.close();
  await expect.poll(() => metric('event_streams_open')).toBe(4);
  expect((await StreamClient.open(`${url}/events/stream`)).response.statusCode).toBe(200);
});

test('a client that does not read is cut off, and the others get everything', async () => {
  await expect.poll(() => metric('event_streams_open')).toBe(0);
  const stuck = await StreamClient.open(`${url}/events/stream`);
  stuck.response.pause();
  const reader = (await StreamClient.open(`${url}/events/stream`)).read();
  // More than the buffers of the kernel and of both ends take in.
  const [{ last: lastId } = { last: '' }] = await service.database.query<{ last: string }>(`
    with large as (
      insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor, payload)
      select 'order.paid', 'order', 1000 + n, 2, 'test', json_build_object('text', repeat('x', 50000))
        from generate_series(1, 400) n returning id
    ) select max(id) as last from large`);
  expect(lastId).not.toBe('');
  await expect.poll(() => metric('event_streams_dropped_total')).toBe(1);
  const last = await service.createProduct();
  await received(reader, 'product.created', last.id);
  expect(reader.events).toHaveLength(401);
  expect(await metric('event_streams_open')).toBe(1);
});

test('a stop ends open streams at once, at an id to go on from', async () => {
  const other = await useTestService();
  const address = await listenOnPort(other);
  const streams: StreamClient[] = [];
  for (let n = 0; n < 10; n++) streams.push((await StreamClient.open(`${address}/events/stream`)).read());
  const product = await other.createProduct();
  for (const stream of streams) await received(stream, 'product.created', product.id);
  let wasCutOff = false;
  other.app.refuseUnderWay = () => {
    wasCutOff = true;
  };
  await closeApp(other.app);
  await expect.poll(() => streams.every(({ hasEnded }) => hasEnded)).toBe(true);
  expect(streams.map(({ response }) => response.complete)).toEqual(streams.map(() => true));
  expect(wasCutOff).toBe(false);
});
