import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';
import { deliver, standardHeaders, storedPaymentEvents } from '../support/webhooks.ts';

const service = useSharedService();

async function pendingOrder(): Promise<number> {
  return (await service.placeOrder((await service.createProduct()).id, 1)).id;
}

function send(payload: string | Buffer) {
  return deliver(service, payload, { 'x-webhook-signature': signPayload(payload) });
}

function sendStandard(payload: string, id: string) {
  return deliver(service, payload, standardHeaders(payload, { id }));
}

async function rowCounts() {
  const [counts] = await service.database.query(
    `select (select count(*) from inbound_deliveries where outcome not in ('failed', 'refused')) as payments, (select count(*) from payment_exceptions) as exceptions,
            (select count(*) from events) as events, (select sum(version) from orders) as versions`,
  );
  return counts;
}

describe('401 comes before 403, that before 400, and that before 422', () => {
  const BODIES = {
    'no JSON': '{"half":',
    'an empty body': '',
    'bytes that are no UTF-8': Buffer.from([0xff, 0xfe]),
    '33 levels': '['.repeat(33) + ']'.repeat(33),
    'a prototype': '{"__proto__":1}',
    'JSON that is no event': '{"order_id":"x"}',
  };
  test.each(Object.entries(BODIES))('%s that nobody signed: 401', async (_what, payload) => {
    expect(await deliver(service, payload, {})).toBeProblem(401, 'missing_signature');
  });

  test.each(Object.entries(BODIES))(
    '%s that is forged: 403, and nothing of it is parsed',
    async (_what, payload) => {
      const answer = await deliver(service, payload, {
        'x-webhook-signature': signPayload(payload, 'forger'),
      });
      expect(answer).toBeProblem(403, 'invalid_signature', 'Invalid webhook signature');
    },
  );

  test.each(Object.entries(BODIES).slice(0, 5))('%s with a right signature: 400', async (_what, payload) => {
    expect(await send(payload)).toBeProblem(400, 'malformed_request');
  });

  test('JSON that is no event, with a right signature: 422 with every fault', async () => {
    expect(await send(BODIES['JSON that is no event'])).toHaveFaults('body/event_type', 'body/order_id');
  });

  test('a request without a body and without a content type: 401, and signed: 400', async () => {
    expect(await service.call('POST', '/webhooks/payment')).toBeProblem(401, 'missing_signature');
    const signed = { 'x-webhook-signature': signPayload('') };
    expect(await service.call('POST', '/webhooks/payment', undefined, signed)).toBeProblem(
      400,
      'malformed_request',
    );
  });
});

test('invalid UTF-8 inside of a text, with a right signature over its bytes: 400, and nothing is written', async () => {
  const id = await pendingOrder();
  const before = await rowCounts();
  const json = `{"event_type":"payment.succeeded","order_id":${id},"event_id":"evt_?"}`;
  const payload = Buffer.from(json);
  payload[payload.indexOf(0x3f)] = 0xff;
  expect(await send(payload)).toBeProblem(400, 'malformed_request', 'The body is not valid UTF-8');
  expect(await rowCounts()).toEqual(before);
});

test('forged deliveries write nothing: 50 of them, of every kind, and the order stays as it was', async () => {
  const id = await pendingOrder();
  const before = await rowCounts();
  const types = ['payment.succeeded', 'payment.failed', 'payment.refunded', 'payment.other', ''];
  const statuses = new Set<number>();
  for (let i = 0; i < 50; i++) {
    const payload = JSON.stringify({ event_type: types[i % 5], order_id: id, event_id: `evt_${i}` });
    const headers = i % 2 === 0 ? {} : { 'x-webhook-signature': signPayload(payload, `guess-${i}`) };
    statuses.add((await deliver(service, payload, headers)).status);
  }
  expect([...statuses]).toEqual([401, 403]);
  expect(await rowCounts()).toEqual(before);
  expect((await service.call('GET', `/orders/${id}`)).body).toMatchObject({ status: 'PENDING', version: 1 });
});

describe('the signature is of the bytes, however the JSON is written', () => {
  const SPELLINGS: Record<string, (id: number) => string> = {
    'odd spacing': (id) => `\n{ "event_type" :\t"payment.succeeded" ,\r\n "order_id":${id}   }  `,
    'another order of members': (id) => `{"order_id":${id},"z":1,"event_type":"payment.succeeded","a":2}`,
    'unicode escapes': (id) => String.raw`{"\u0065vent_type":"payment\u002esucceeded","order_id":${id}}`,
    'letters beyond ASCII': (id) =>
      `{"event_type":"payment.succeeded","order_id":${id},"payment_method":"Überweisung 🍵"}`,
    'numbers in exponents': (id) => `{"event_type":"payment.succeeded","order_id":${id}.0,"amount":1e1}`,
  };
  test.each(Object.entries(SPELLINGS))(
    '%s verifies, and the raw body is stored to the byte',
    async (_what, spell) => {
      const id = await pendingOrder();
      const payload = spell(id);
      const { status, body } = await send(payload);
      expect([status, body]).toEqual([200, { status: 'processed', order_id: id, new_status: 'PAID' }]);
      const [stored] = await storedPaymentEvents(service, id);
      expect(stored?.raw_body.equals(Buffer.from(payload))).toBe(true);
    },
  );

  test.each(
    Object.entries(SPELLINGS).filter(
      ([what]) => !what.startsWith('another order') && !what.startsWith('letters'),
    ),
  )('%s does not verify with the signature of its rewritten form', async (_what, spell) => {
    const payload = spell(await pendingOrder());
    const rewritten = JSON.stringify(JSON.parse(payload));
    expect(rewritten).not.toBe(payload);
    const answer = await deliver(service, payload, { 'x-webhook-signature': signPayload(rewritten) });
    expect(answer).toBeProblem(403, 'invalid_signature');
  });
});

test('providers add fields: they are taken, and kept in the raw body', async () => {
  const id = await pendingOrder();
  const payload = JSON.stringify({
    event_type: 'payment.succeeded',
    order_id: id,
    livemode: true,
    data: { object: { id: 'pi_1', nested: [1, null] } },
  });
  expect((await send(payload)).status).toBe(200);
  expect((await storedPaymentEvents(service, id))[0]?.raw_body.toString()).toBe(payload);
});

describe('what is only recorded never refuses money', () => {
  const UNRECORDED: [what: string, more: Record<string, unknown>][] = [
    ['a payment_method that is an object', { payment_method: { type: 'card', last4: '4242' } }],
    ['a payment_method that is a list', { payment_method: ['card'] }],
    ['a payment_method that is a number', { payment_method: 5 }],
    ['a payment_method of 101 letters', { payment_method: 'x'.repeat(101) }],
    ['a payment_method with a NUL', { payment_method: 'a\0b' }],
    ['a payment_method with half a character', { payment_method: '\ud83c' }],
    ['a payment_method of null', { payment_method: null }],
    ['an event_id of null', { event_id: null }],
  ];
  test.each(UNRECORDED)('%s: the order is paid, and the raw body keeps it', async (_what, more) => {
    const id = await pendingOrder();
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: id, ...more });
    for (const status of ['processed', 'already_processed']) {
      const { status: code, body } = await send(payload);
      expect([code, body.status]).toEqual([200, status]);
    }
    const [stored] = await storedPaymentEvents(service, id);
    expect(stored).toMatchObject({ payment_method: null, new_status: 'PAID' });
    expect(stored?.identity).toMatch(/^sha256:/);
    expect(stored?.raw_body.toString()).toBe(payload);
  });

  test('an X-Event-Id of 5,000 letters: the order is paid', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id };
    const { body } = await service.pay(event, { 'x-event-id': 'e'.repeat(5000) });
    expect(body.status).toBe('processed');
  });
});

describe('a damaged copy of a known event', () => {
  const DAMAGED: [what: string, more: Record<string, unknown>][] = [
    ['without its order', { order_id: undefined }],
    ['with an order that is text', { order_id: 'x' }],
    ['with an amount that is none', { amount: 'much' }],
    ['without its type', { event_type: undefined }],
  ];
  test.each(DAMAGED)('%s: 200 already_processed, and one more delivery', async (_what, more) => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `damaged_${id}` };
    await service.pay(event);
    const before = await rowCounts();
    const { status, body } = await service.pay({ ...event, ...more });
    expect([status, body]).toEqual([
      200,
      { status: 'already_processed', order_id: id, outcome: 'processed' },
    ]);
    expect(await rowCounts()).toEqual(before);
    const [row] = (await service.call('GET', `/webhooks/inbox?order_id=${id}`)).body;
    expect(row).toMatchObject({ outcome: 'processed', deliveries: 2 });
  });

  test('cut off in the middle, under its webhook-id: 200; under another, 400', async () => {
    const id = await pendingOrder();
    const payload = JSON.stringify({ event_type: 'payment.succeeded', order_id: id });
    const cut = payload.slice(0, -5);
    expect((await sendStandard(payload, `msg_${id}`)).body.status).toBe('processed');
    expect((await sendStandard(cut, `msg_${id}`)).body.status).toBe('already_processed');
    expect(await sendStandard(cut, `msg_${id}_2`)).toBeProblem(400, 'malformed_request');
  });

  test('the copy of an event that is not known is refused as ever', async () => {
    const id = await pendingOrder();
    const event = { event_type: 'payment.succeeded', order_id: id, event_id: `unknown_${id}` };
    expect(await service.pay({ ...event, amount: 'much' })).toHaveFaults('body/amount');
    expect((await service.pay(event)).body.status).toBe('processed');
  });
});

describe('the members that are ours are strict', () => {
  const event = { event_type: 'payment.succeeded', order_id: 1 };
  const WRONG: [field: string, value: unknown][] = [
    ['event_type', ''],
    ['event_type', 5],
    ['event_type', null],
    ['event_type', 'x'.repeat(101)],
    ['order_id', '1'],
    ['order_id', 0],
    ['order_id', 1.5],
    ['order_id', null],
    ['event_id', ''],
    ['event_id', 7],
    ['event_id', 'x'.repeat(256)],
  ];
  test.each(WRONG)('%s: %j: 422, and nothing is written', async (field, value) => {
    const before = await rowCounts();
    expect(await send(JSON.stringify({ ...event, [field]: value }))).toHaveFaults(`body/${field}`);
    expect(await rowCounts()).toEqual(before);
  });
});

test('what is stored of a payment: type, amount, method, outcome, state, request and who', async () => {
  const id = await pendingOrder();
  const event = {
    event_type: 'payment.succeeded',
    order_id: id,
    event_id: 'evt_x',
    amount: '10.00',
    payment_method: 'card',
  };
  await service.pay(event, { 'x-request-id': 'the-request', 'x-event-id': 'header-id' });
  const { raw_body, ...stored } = (await storedPaymentEvents(service, id))[0] ?? {};
  expect(JSON.parse(String(raw_body))).toEqual(event);
  expect(stored).toMatchObject({
    identity: 'event:evt_x',
    event_type: 'payment.succeeded',
    amount: '10.00',
    payment_method: 'card',
    scheme: 'x-webhook-signature',
    unsigned_event_id: 'header-id',
    outcome: 'processed',
    reason: null,
    new_status: 'PAID',
    actor: 'payment-provider',
    request_id: 'the-request',
  });
});
