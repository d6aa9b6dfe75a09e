import { expect, test } from 'vitest';

import { createDeferred } from '../../src/lib/deferred.ts';
import { createMetrics } from '../../src/metrics.ts';
import type { Refusal, Verdict } from '../../src/inbound/inbox.ts';
import { createInboxRecorder } from '../../src/inbound/inbox-recorder.ts';
import type { CountedRefusal } from '../../src/inbound/inbound-delivery.repository.ts';

function refusal(identity: string, verdict: Verdict = 'valid', more: Partial<Refusal> = {}): Refusal {
  return {
    verdict,
    identity,
    scheme: null,
    eventType: null,
    orderId: null,
    unsignedEventId: null,
    reason: 'order_not_found',
    detail: 'Order not found',
    rawBody: Buffer.from(identity),
    bodyBytes: identity.length,
    requestId: 'r',
    ...more,
  };
}

/** A recorder whose store does what the test says, batch by batch, and else succeeds. */
function recorderOf(outcomes: (() => Promise<void>)[] = []) {
  const stored: CountedRefusal[][] = [];
  const clock = { now: 0, nowMs: () => clock.now };
  const metrics = createMetrics();
  const recorder = createInboxRecorder({
    clock,
    metrics,
    async store(refusals) {
      await outcomes.shift()?.();
      stored.push([...refusals]);
    },
  });
  const dropped = async () =>
    Object.fromEntries(
      (await metrics.inboxUnrecorded.get()).values.map(({ labels, value }) => [labels.verdict, value]),
    );
  return { recorder, stored, clock, dropped };
}

const away = () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));

test('what comes while a batch is stored waits and shares the next one; the same event is one entry', async () => {
  const gate = createDeferred();
  const { recorder, stored, clock } = recorderOf([() => gate.promise]);
  recorder.keep(refusal('a'));
  for (const [ms, identity] of [
    [1000, 'b'],
    [2000, 'a'],
    [3000, 'b'],
  ] as const) {
    clock.now = ms;
    recorder.keep(refusal(identity, 'valid', { detail: `at ${ms}` }));
  }
  gate.resolve();
  await recorder.flush();
  const brief = stored.map((batch) =>
    batch.map(({ identity, deliveries, detail, receivedAt, lastDeliveredAt }) =>
      [identity, deliveries, detail, receivedAt.slice(17, 19), lastDeliveredAt.slice(17, 19)].join(' '),
    ),
  );
  expect(brief).toEqual([['a 1 Order not found 00 00'], ['b 2 at 3000 01 03', 'a 1 at 2000 02 02']]);
});

test('a valid and a forged delivery of the same digest are two', async () => {
  const { recorder, stored } = recorderOf();
  recorder.keep(refusal('a'));
  recorder.keep(refusal('a', 'forged'));
  await recorder.flush();
  expect(stored.flat().map(({ verdict }) => verdict)).toEqual(['valid', 'forged']);
});

test('a database that is away: everything waits, counts on, and is stored at the next try', async () => {
  const { recorder, stored, dropped } = recorderOf([away, away]);
  recorder.keep(refusal('a'));
  await recorder.flush();
  recorder.keep(refusal('a'));
  await recorder.flush();
  expect(stored).toEqual([]);
  await recorder.flush();
  expect(stored.flat()).toMatchObject([{ identity: 'a', deliveries: 2 }]);
  expect(await dropped()).toEqual({});
});

test('what the database refuses for good is dropped and counted, and what follows is stored', async () => {
  const { recorder, stored, dropped } = recorderOf([() => Promise.reject(new Error('a fault of ours'))]);
  recorder.keep(refusal('a'));
  await recorder.flush();
  recorder.keep(refusal('b'));
  await recorder.flush();
  expect(stored.flat().map(({ identity }) => identity)).toEqual(['b']);
  expect(await dropped()).toEqual({ valid: 1 });
});

test('200 wait at most, in batches of 50; the rest is counted and not kept', async () => {
  const gate = createDeferred();
  const { recorder, stored, dropped } = recorderOf([() => gate.promise]);
  for (let n = 0; n < 300; n++) recorder.keep(refusal(`e-${n}`));
  gate.resolve();
  await recorder.flush();
  // The first is under way at once; the 200 behind it wait.
  expect(stored.map((batch) => batch.length)).toEqual([1, 50, 50, 50, 50]);
  expect(await dropped()).toEqual({ valid: 99 });
});

test('of what nobody has signed, 60 at once and then one a second; a clock that is set back gives nothing', async () => {
  const { recorder, stored, clock, dropped } = recorderOf();
  const flood = async (name: string) => {
    const before = stored.flat().length;
    for (let n = 0; n < 100; n++) recorder.keep(refusal(`${name}-${n}`, 'forged'));
    await recorder.flush();
    return stored.flat().length - before;
  };
  clock.now = 100_000;
  expect(await flood('a')).toBe(60);
  clock.now += 5500;
  expect(await flood('b')).toBe(5);
  clock.now -= 50_000;
  expect(await flood('c')).toBe(0);
  clock.now += 1_000_000;
  expect(await flood('d')).toBe(60);
  expect(await dropped()).toEqual({ forged: 275 });
});

test('a body that nobody has signed is kept to 4 KiB, in memory, too', async () => {
  const { recorder, stored } = recorderOf();
  const rawBody = Buffer.alloc(60_000, 'x');
  recorder.keep(refusal('a', 'missing', { rawBody, bodyBytes: rawBody.length }));
  recorder.keep(refusal('a', 'valid', { rawBody, bodyBytes: rawBody.length }));
  await recorder.flush();
  const [missing, valid] = stored.flat();
  expect([missing?.rawBody.length, missing?.bodyBytes, valid?.rawBody.length]).toEqual([
    4096, 60_000, 60_000,
  ]);
  expect(missing?.rawBody.buffer.byteLength).toBe(4096);
});
