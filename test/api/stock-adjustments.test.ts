import { beforeEach, describe, expect, test } from 'vitest';

import { expectNoDrift } from '../support/audits.ts';
import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

let id: number;
beforeEach(async () => {
  ({ id } = await service.createProduct({ stock: 10 }));
});

function adjust(body: unknown, headers: Record<string, string> = {}, product = id) {
  return service.call('POST', `/products/${product}/stock-adjustments`, body, headers);
}

async function read() {
  return (await service.call('GET', `/products/${id}`)).body;
}

function written() {
  return service.database.query(
    `select (select count(*)::int from stock_movements) as movements, (select count(*)::int from events) as events,
            (select count(*)::int from idempotency_keys) as keys`,
  );
}

test('2 of 10 are damaged: 201 with the movement, the new stock and the ETag; the product and the ledger say the same', async () => {
  await service.placeOrder(id, 3);
  const body = { delta: -2, reason: 'damaged', note: 'Fell off the shelf' };
  const { status, body: answer, headers } = await adjust(body, { 'x-request-id': 'the-request' });
  expect(status).toBe(201);
  expect(answer).toEqual({
    movement: {
      id: expect.any(Number),
      product_id: id,
      kind: 'adjusted',
      delta: -2,
      on_hand_after: 8,
      reserved_after: 3,
      order_id: null,
      actor: 'anonymous',
      request_id: 'the-request',
      reason: 'damaged',
      note: 'Fell off the shelf',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    },
    stock: 5,
    reserved: 3,
    on_hand: 8,
    version: 3,
  });
  expect(headers['etag']).toBe('"3"');
  expect(headers).not.toHaveProperty('location');
  expect(await read()).toMatchObject({ stock: 5, reserved: 3, on_hand: 8, version: 3 });
  const { body: movements } = await service.call('GET', `/products/${id}/stock-movements`);
  expect(movements[0]).toEqual(answer.movement);
  await expectNoDrift(service);
});

test.each([
  [5, 'received', 'delivery', 'received'],
  [5, 'adjusted', 'received', 'adjusted'],
  [5, undefined, 'received', 'adjusted'],
  [-5, 'adjusted', 'lost', 'adjusted'],
  [-5, undefined, 'received', 'adjusted'],
])(
  'a delta of %i, the kind %s, the reason "%s": a movement of the kind %s',
  async (delta, kind, reason, made) => {
    const { status, body } = await adjust({ delta, kind, reason });
    expect(status).toBe(201);
    expect(body).toMatchObject({ movement: { kind: made, delta, reason, note: null }, stock: 10 + delta });
  },
);

test('it writes one event product.updated, with the product before and after', async () => {
  const before = await read();
  await adjust({ delta: 1, reason: 'found' });
  const events = await service.database.query(
    `select type, aggregate_version::int as version, payload from events
      where aggregate_type = 'product' and aggregate_id = $1 and aggregate_version > 1`,
    [id],
  );
  expect(events).toEqual([
    { type: 'product.updated', version: 2, payload: { product: await read(), before } },
  ]);
});

async function lastOrder() {
  return (await service.call('GET', '/orders?limit=1')).body[0];
}

describe('refusals, which write nothing', () => {
  let before: unknown;
  beforeEach(async () => {
    await service.placeOrder(id, 4);
    before = [await read(), await written()];
  });

  async function expectNothingWritten() {
    expect([await read(), await written()]).toEqual(before);
  }

  test('7 of the 6 that no order holds: 409 with what is available; 6 of them go', async () => {
    const answer = await adjust({ delta: -7, reason: 'lost' });
    expect(answer).toBeProblem(409, 'insufficient_stock', 'Insufficient stock. Available: 6, Requested: 7');
    expect(answer.body.shortages).toEqual([{ product_id: id, available: 6, requested: 7 }]);
    await expectNothingWritten();
    expect((await adjust({ delta: -6, reason: 'lost' })).body).toMatchObject({ stock: 0, on_hand: 4 });
  });

  test('more than 1,000,000,000 on hand: 422; exactly that is fine, and canceling does not lead past it', async () => {
    const answer = await adjust({ delta: 999_999_991, reason: 'counted' });
    expect(answer).toBeProblem(
      422,
      'stock_out_of_range',
      '1000000001 would be on hand, of which orders hold 4; 1000000000 may be at most',
    );
    await expectNothingWritten();
    expect((await adjust({ delta: 999_999_990, reason: 'counted' })).body.stock).toBe(999_999_996);
    await service.call('DELETE', `/orders/${(await lastOrder()).id}`);
    expect((await read()).stock).toBe(1_000_000_000);
  });

  test('a product that is not there: 404', async () => {
    const answer = await adjust({ delta: 1, reason: 'found' }, {}, 999_999);
    expect(answer).toBeProblem(404, 'product_not_found', 'Product not found');
    await expectNothingWritten();
  });

  test('a stale If-Match: 412 with the current state; the current one, and *, are taken', async () => {
    const change = { delta: 1, reason: 'found' };
    const stale = await adjust(change, { 'if-match': '"1"' });
    expect(stale).toBeProblem(412, 'version_mismatch');
    expect(stale.body.current).toEqual(await read());
    expect(await adjust(change, { 'if-match': 'no-tag' })).toHaveFaults('header/if-match');
    await expectNothingWritten();
    expect((await adjust(change, { 'if-match': '"2"' })).headers['etag']).toBe('"3"');
    expect((await adjust(change, { 'if-match': '*' })).status).toBe(201);
  });

  test.each([
    ['{}', ['body/delta', 'body/reason']],
    ['{"delta":0,"reason":"x"}', ['body/delta']],
    ['{"delta":-0,"reason":"x"}', ['body/delta']],
    ['{"delta":1.5,"reason":"x"}', ['body/delta']],
    ['{"delta":"1","reason":"x"}', ['body/delta']],
    ['{"delta":null,"reason":"x"}', ['body/delta']],
    ['{"delta":[1],"reason":"x"}', ['body/delta']],
    ['{"delta":1000000001,"reason":"x"}', ['body/delta']],
    ['{"delta":-1000000001,"reason":"x"}', ['body/delta']],
    ['{"delta":1}', ['body/reason']],
    ['{"delta":1,"reason":""}', ['body/reason']],
    ['{"delta":1,"reason":null}', ['body/reason']],
    [`{"delta":1,"reason":"${'r'.repeat(101)}"}`, ['body/reason']],
    [String.raw`{"delta":1,"reason":"a\u0000b"}`, ['body/reason']],
    [`{"delta":1,"reason":"x","note":"${'n'.repeat(2001)}"}`, ['body/note']],
    ['{"delta":1,"reason":"x","note":5}', ['body/note']],
    ['{"delta":0,"reason":"","sort":"received"}', ['body/delta', 'body/reason', 'body/sort']],
    ['{"delta":1,"reason":"x","kind":"Received"}', ['body/kind']],
    ['{"delta":1,"reason":"x","kind":"shipped"}', ['body/kind']],
    ['{"delta":1,"reason":"x","kind":null}', ['body/kind']],
    ['{"delta":-1,"reason":"x","kind":"received"}', ['body/delta']],
  ])('%s: 422', async (body, faults) => {
    expect(await adjust(body)).toHaveFaults(...faults);
    await expectNothingWritten();
  });

  test('0 is told in words', async () => {
    const { body } = await adjust({ delta: 0, reason: 'x' });
    expect(body.detail).toBe('body/delta must not be 0');
  });
});

test('a reason of 100 letters, a note of 2,000, and null for none are taken', async () => {
  const long = { delta: 1, reason: '🍵'.repeat(100), note: 'n'.repeat(2000) };
  const { body } = await adjust(long);
  expect(body.movement).toMatchObject({ reason: long.reason, note: long.note });
  expect((await adjust({ delta: 1, reason: 'x', note: null })).body.movement.note).toBeNull();
});

describe('with an Idempotency-Key', () => {
  let keys = 0;
  let key: Record<string, string>;
  beforeEach(() => {
    key = { 'idempotency-key': `adjustment-${++keys}` };
  });

  test('5 calls: one movement; each answer has the same status, body and ETag, also under /api/v1', async () => {
    const change = { delta: -1, reason: 'lost' };
    const first = await adjust(change, key);
    expect([first.status, first.headers['idempotency-replayed']]).toEqual([201, undefined]);
    await service.call('PATCH', `/products/${id}`, { stock: 50 });
    const before = await written();
    for (const prefix of ['', '/api/v1', '', '']) {
      const again = await service.call('POST', `${prefix}/products/${id}/stock-adjustments`, change, key);
      expect([again.status, again.text, again.headers['etag']]).toEqual([201, first.text, '"2"']);
      expect(again.headers['idempotency-replayed']).toBe('true');
    }
    expect(await written()).toEqual(before);
  });

  test('another delta, kind, reason, note or product under the same key: 409', async () => {
    const other = await service.createProduct({ stock: 10 });
    const change = { delta: 1, reason: 'found' };
    expect((await adjust(change, key)).status).toBe(201);
    const answers = [
      await adjust({ ...change, delta: 2 }, key),
      await adjust({ ...change, kind: 'received' }, key),
      await adjust({ ...change, reason: 'counted' }, key),
      await adjust({ ...change, note: 'x' }, key),
      await adjust(change, key, other.id),
    ];
    for (const answer of answers) expect(answer).toBeProblem(409, 'idempotency_key_reused');
    // An absent note and null are the same command, and so are an absent kind and adjusted.
    expect(
      (await adjust({ ...change, kind: 'adjusted', note: null }, key)).headers['idempotency-replayed'],
    ).toBe('true');
    expect((await read()).stock).toBe(11);
  });

  test('a refusal is not remembered: the key works once there is enough', async () => {
    const change = { delta: -11, reason: 'lost' };
    expect((await adjust(change, key)).status).toBe(409);
    await service.call('PATCH', `/products/${id}`, { stock: 11 });
    expect((await adjust(change, key)).body.stock).toBe(0);
  });

  test('an empty key: 422', async () => {
    const answer = await adjust({ delta: 1, reason: 'x' }, { 'idempotency-key': '' });
    expect(answer).toHaveFaults('header/idempotency-key');
  });
});
