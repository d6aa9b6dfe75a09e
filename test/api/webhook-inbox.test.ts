import { describe, expect, test } from 'vitest';

import { deliverForged, deliverSigned, inboxOf, replay } from '../support/inbox.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';
import { deliver, standardHeaders } from '../support/webhooks.ts';

const service = useSharedService();

async function pendingOrder(): Promise<number> {
  return (await service.placeOrder((await service.createProduct()).id, 1)).id;
}

async function newest() {
  return (await inboxOf(service, 'limit=1'))[0];
}

async function staleCount(): Promise<number> {
  const { text } = await service.call('GET', '/metrics');
  return Number(/^payment_events_total\{outcome="stale"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);

describe('what came in', () => {
  test('an event that was accepted: with its outcome, its identity and its bytes as they came', async () => {
    const id = await pendingOrder();
    const payload = `{ "event_id":"evt_${id}",  "event_type":"payment.succeeded","order_id":${id} , "note": "ü 🍵" }`;
    await deliverSigned(service, payload, { 'x-request-id': `the-${id}`, 'x-event-id': 'unsigned' });
    expect(await newest()).toEqual({
      id: expect.any(Number),
      verdict: 'valid',
      scheme: 'x-webhook-signature',
      outcome: 'processed',
      reason: null,
      detail: null,
      new_status: 'PAID',
      identity: `event:evt_${id}`,
      event_type: 'payment.succeeded',
      order_id: id,
      unsigned_event_id: 'unsigned',
      deliveries: 1,
      received_at: TIME,
      last_delivered_at: TIME,
      request_id: `the-${id}`,
      raw_body: payload,
      raw_body_encoding: 'utf-8',
      raw_body_bytes: Buffer.byteLength(payload),
      raw_body_truncated: false,
    });
  });

  test('a review and an ignored event say why, in the words of their answer', async () => {
    const id = await pendingOrder();
    const review = await service.pay({ event_type: 'payment.succeeded', order_id: id, amount: 1 });
    expect(await newest()).toMatchObject({
      outcome: 'review',
      reason: review.body.reason,
      detail: review.body.detail,
    });
    const ignored = await service.pay({ event_type: 'payment.created', order_id: id });
    expect(await newest()).toMatchObject({ outcome: 'ignored', reason: ignored.body.reason, detail: null });
  });

  test.each<[string, string | Buffer, number, string, object]>([
    [
      'an unknown order',
      '{"event_type":"payment.succeeded","order_id":999999}',
      404,
      'order_not_found',
      { order_id: 999_999 },
    ],
    [
      'a wrong order id',
      '{"event_type":"payment.failed","event_id":"e-7","order_id":"7"}',
      422,
      'validation_failed',
      { order_id: null, identity: 'event:e-7' },
    ],
    [
      'no order',
      '{"event_type":"payment.failed"}',
      422,
      'validation_failed',
      { event_type: 'payment.failed' },
    ],
    ['not JSON', '{"event_type":', 400, 'malformed_request', { event_type: null }],
    ['no object', '[1,2]', 422, 'validation_failed', { event_type: null }],
    [
      'an event_id that is too long',
      `{"event_type":"payment.failed","event_id":"${'x'.repeat(256)}","order_id":1}`,
      422,
      'validation_failed',
      { identity: expect.stringMatching(/^sha256:/) },
    ],
    [
      'an event_id with NUL',
      '{"event_type":"payment.failed","event_id":"\\u0000","order_id":1}',
      422,
      'validation_failed',
      { identity: expect.stringMatching(/^sha256:/) },
    ],
    [
      'a type of half a character',
      '{"event_type":"\\ud83c","order_id":1}',
      422,
      'validation_failed',
      { event_type: null },
    ],
  ])(
    'signed, but %s: failed, with the code and the detail of the answer',
    async (_what, payload, status, reason, more) => {
      const answer = await deliverSigned(service, payload);
      expect(answer).toBeProblem(status, reason as 'not_found');
      expect(await newest()).toMatchObject({
        verdict: 'valid',
        scheme: 'x-webhook-signature',
        outcome: 'failed',
        reason,
        detail: answer.body.detail,
        new_status: null,
        raw_body: payload,
        request_id: answer.body.request_id,
        ...more,
      });
    },
  );

  test('bytes that are not UTF-8 are shown in base64', async () => {
    const payload = Buffer.from('7b22a0ff', 'hex');
    await deliverSigned(service, payload);
    expect(await newest()).toMatchObject({
      outcome: 'failed',
      raw_body: 'eyKg/w==',
      raw_body_encoding: 'base64',
    });
  });

  test('a byte order mark and a NUL in a body are shown as they came', async () => {
    await deliverSigned(service, Buffer.from('\ufeff{"a":"\0"}'));
    expect(await newest()).toMatchObject({ raw_body: '\ufeff{"a":"\0"}', raw_body_encoding: 'utf-8' });
  });

  test('forged, unsigned, and refused before anything could be checked: nothing in them is read', async () => {
    const payload = '{"event_type":"payment.succeeded","event_id":"evt_forged","order_id":1}';
    const nothing = {
      scheme: null,
      identity: null,
      event_type: null,
      order_id: null,
      unsigned_event_id: null,
    };
    await deliverForged(service, payload);
    expect(await newest()).toMatchObject({
      ...nothing,
      verdict: 'forged',
      outcome: 'refused',
      reason: 'invalid_signature',
      raw_body: payload,
    });
    await deliver(service, payload, {});
    expect(await newest()).toMatchObject({ ...nothing, verdict: 'missing', reason: 'missing_signature' });
    await deliver(service, payload, { 'content-type': 'text/plain' });
    const unread = { ...nothing, verdict: 'unchecked', outcome: 'refused', raw_body: '' };
    expect(await newest()).toMatchObject({ ...unread, reason: 'unsupported_media_type' });
    await deliverSigned(service, 'x'.repeat(64 * 1024 + 1));
    expect(await newest()).toMatchObject({ ...unread, reason: 'payload_too_large' });
  });

  test.each([-301, 301])(
    'signed by the provider %i s from now: 403 in exactly these words; stale, not forged',
    async (seconds) => {
      const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: 1, seconds });
      const before = await staleCount();
      const at = new Date(Date.now() + seconds * 1000);
      const answer = await deliver(service, payload, standardHeaders(payload, { at }));
      expect(answer).toBeProblem(403, 'stale_signature', 'Webhook timestamp is more than 5 minutes off');
      const stale = await newest();
      expect(stale).toMatchObject({
        verdict: 'stale',
        outcome: 'refused',
        reason: 'stale_signature',
        identity: null,
        raw_body: payload,
      });
      expect((await inboxOf(service, 'verdict=stale'))[0]).toEqual(stale);
      expect(await replay(service, stale.id)).toBeProblem(409, 'inbound_delivery_not_failed');
      expect(await staleCount()).toBe(before + 1);
    },
  );
});

describe('how often it came', () => {
  test('an event of 5 deliveries is one row that counts 5, with the time of the first and of the last', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `often_${id}` };
    await service.pay(event);
    const first = await newest();
    for (let i = 0; i < 4; i++) await service.pay({ ...event, attempt: i });
    const last = await newest();
    expect(last).toEqual({ ...first, deliveries: 5, last_delivered_at: TIME });
    expect(last.last_delivered_at > first.last_delivered_at).toBe(true);
  });

  test('a delivery that failed 3 times is one row, with the newest reason; then it becomes the event, under the same id', async () => {
    const { id: productId } = await service.createProduct();
    const { id: last } = await service.placeOrder(productId, 1);
    const event = { event_type: 'payment.succeeded', order_id: last + 1, event_id: `failing_${last}` };
    await service.pay({ ...event, order_id: 'x' });
    const first = await newest();
    expect(first).toMatchObject({ reason: 'validation_failed', order_id: null });
    await service.pay(event);
    await service.pay(event);
    expect(await newest()).toMatchObject({
      id: first.id,
      outcome: 'failed',
      reason: 'order_not_found',
      order_id: last + 1,
      deliveries: 3,
      received_at: first.received_at,
    });
    await service.placeOrder(productId, 1);
    expect((await service.pay(event)).body.status).toBe('processed');
    const found = await inboxOf(service, `event_id=failing_${last}`);
    expect(found).toMatchObject([
      { id: first.id, outcome: 'processed', deliveries: 4, received_at: first.received_at, reason: null },
    ]);
    expect(await inboxOf(service, `order_id=${last + 1}`)).toHaveLength(1);
  });

  test('a known event that comes again in a form that fails is one more delivery of it, and not a failure', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `broken_${id}` };
    await service.pay(event);
    expect((await service.pay({ ...event, amount: 'much' })).body.status).toBe('already_processed');
    expect(await inboxOf(service, `event_id=broken_${id}`)).toMatchObject([
      { outcome: 'processed', deliveries: 2 },
    ]);
  });

  test('the same forged bytes 4 times are one row', async () => {
    for (let i = 0; i < 4; i++) await deliverForged(service, '{"the same":true}');
    const found = (await inboxOf(service, 'verdict=forged')).filter(
      (row) => row.raw_body === '{"the same":true}',
    );
    expect(found).toMatchObject([{ deliveries: 4 }]);
  });
});

describe('a long body', () => {
  const long = JSON.stringify({ event_type: 'payment.failed', note: 'ü'.repeat(10_000) });

  test('signed: the list shows the first 4 KiB, cut between characters, and its own page all of it', async () => {
    await deliverSigned(service, long);
    const listed = await newest();
    const bytes = Buffer.byteLength(long);
    expect(listed).toMatchObject({
      raw_body_bytes: bytes,
      raw_body_truncated: true,
      raw_body_encoding: 'utf-8',
    });
    expect(long.startsWith(listed.raw_body)).toBe(true);
    expect(Buffer.byteLength(listed.raw_body)).toBeGreaterThan(4090);
    const { body } = await service.call('GET', `/webhooks/inbox/${listed.id}`);
    expect(body).toEqual({ ...listed, raw_body: long, raw_body_truncated: false });
  });

  test('not signed: no more than 4 KiB are kept at all', async () => {
    await deliverForged(service, long);
    const listed = await newest();
    expect(listed).toMatchObject({ raw_body_bytes: Buffer.byteLength(long), raw_body_truncated: true });
    expect((await service.call('GET', `/webhooks/inbox/${listed.id}`)).body).toEqual(listed);
    const stored = await service.database.query<{ bytes: number }>(
      'select length(raw_body) as bytes from inbound_deliveries where id = $1',
      [listed.id],
    );
    expect(stored).toEqual([{ bytes: 4096 }]);
  });
});

test('an unknown delivery is 404, for reading and for replaying', async () => {
  const unknown = [404, 'inbound_delivery_not_found', 'Inbound delivery not found'] as const;
  expect(await service.call('GET', '/webhooks/inbox/999999')).toBeProblem(...unknown);
  expect(await service.call('POST', '/webhooks/inbox/999999/replay')).toBeProblem(...unknown);
});
