import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService } from '../support/service.ts';

const service = useSharedService();

/** Four pieces at 10.00: a total of 40. */
async function pendingOrder(): Promise<number> {
  const { id } = await service.createProduct({ stock: 10, price: 10 });
  return (await service.placeOrder(id, 4)).id;
}

/** A payment of an order that is paid already, which buys nothing. */
async function openException(): Promise<{ id: number; order_id: number }> {
  const orderId = await pendingOrder();
  await service.pay({ event_type: 'payment.succeeded', order_id: orderId, event_id: `a-${orderId}` });
  await service.pay({
    event_type: 'payment.succeeded',
    order_id: orderId,
    event_id: `b-${orderId}`,
    amount: 40,
  });
  const { body } = await service.call('GET', `/payments/exceptions?order_id=${orderId}`);
  return body[0];
}

function resolve(id: number, body: unknown, headers: Record<string, string> = {}) {
  return service.call('POST', `/payments/exceptions/${id}/resolve`, body, headers);
}

function eventsOf(id: number) {
  return service.database.query<{
    type: string;
    version: number;
    actor: string;
    payload: { exception: unknown };
  }>(
    `select type, aggregate_version::int as version, actor, request_id, payload
       from events where aggregate_type = 'payment_exception' and aggregate_id = $1 order by id`,
    [id],
  );
}

test('an exception is read with its ETag, and 304 when it has not changed', async () => {
  const { id, order_id } = await openException();
  const { status, body, headers } = await service.call('GET', `/payments/exceptions/${id}`);
  expect([status, headers.etag]).toEqual([200, '"1"']);
  expect(body).toEqual({
    id,
    payment_event_id: expect.any(Number),
    order_id,
    reason: 'already_paid',
    detail: 'The order is paid already',
    amount: 40,
    status: 'OPEN',
    resolution: null,
    note: null,
    resolved_by: null,
    resolved_at: null,
    version: 1,
    created_at: expect.stringMatching(/^\d{4}-.*Z$/),
  });
  const again = await service.call('GET', `/payments/exceptions/${id}`, undefined, {
    'if-none-match': '"1"',
  });
  expect(again.status).toBe(304);
});

test('payment_event_id leads to the delivery that brought the money', async () => {
  const { id, order_id } = await openException();
  const { payment_event_id } = (await service.call('GET', `/payments/exceptions/${id}`)).body;
  const { status, body } = await service.call('GET', `/webhooks/inbox/${payment_event_id}`);
  expect([status, body]).toMatchObject([
    200,
    { outcome: 'review', identity: `event:b-${order_id}`, order_id },
  ]);
});

test.each(['0', '-1', 'x', '1.5', '99999999999999999'])('id %s: 422', async (id) => {
  expect((await service.call('GET', `/payments/exceptions/${id}`)).status).toBe(422);
  expect(
    (await service.call('POST', `/payments/exceptions/${id}/resolve`, { resolution: 'refunded' })).status,
  ).toBe(422);
});

test('an unknown exception: 404 for reading and for resolving', async () => {
  const unknown = [404, 'exception_not_found', 'Payment exception not found'] as const;
  expect(await service.call('GET', '/payments/exceptions/999999')).toBeProblem(...unknown);
  expect(await resolve(999_999, { resolution: 'refunded' })).toBeProblem(...unknown);
});

describe('the list', () => {
  test('filters by status, reason, order and time; each combination finds exactly its rows', async () => {
    const [open, resolved] = [await openException(), await openException()];
    await resolve(resolved.id, { resolution: 'accepted' });
    const mismatch = await pendingOrder();
    await service.pay({ event_type: 'payment.succeeded', order_id: mismatch, amount: 1 });
    const { body: all } = await service.call('GET', '/payments/exceptions');

    const find = async (query: string) => {
      const { status, body } = await service.call('GET', `/payments/exceptions?${query}`);
      expect(status).toBe(200);
      return body.map(({ id }: { id: number }) => id);
    };
    const where = (fits: (row: Record<string, unknown>) => boolean) =>
      all.filter(fits).map(({ id }: { id: number }) => id);
    expect(await find('status=OPEN')).toEqual(where(({ status }) => status === 'OPEN'));
    expect(await find('status=RESOLVED')).toEqual([resolved.id]);
    expect(await find('reason=underpaid')).toEqual(where(({ order_id }) => order_id === mismatch));
    expect(await find(`order_id=${open.order_id}`)).toEqual([open.id]);
    expect(await find(`order_id=${open.order_id}&status=RESOLVED`)).toEqual([]);
    const second = all[1].created_at;
    expect(await find(`created_from=${second}`)).toEqual(
      where(({ created_at }) => String(created_at) >= second),
    );
    expect(await find(`created_to=${second}`)).toEqual(
      where(({ created_at }) => String(created_at) < second),
    );
  });

  test('is a list to be worked off: the oldest first, unless asked otherwise', async () => {
    await openException();
    const ids = (await service.call('GET', '/payments/exceptions')).body.map(({ id }: { id: number }) => id);
    expect(ids).toEqual(ids.toSorted((a: number, b: number) => a - b));
    const { body } = await service.call('GET', '/payments/exceptions?sort=-id&limit=1');
    expect(body[0].id).toBe(ids.at(-1));
  });

  test.each([
    ['status=open', 'query/status'],
    ['reason=lost', 'query/reason'],
    ['order_id=x', 'query/order_id'],
    ['created_from=yesterday', 'query/created_from'],
    ['created_to=0000-01-01T00:00:00Z', 'query/created_to'],
    ['resolution=refunded', 'query/resolution'],
    ['status=OPEN&status=OPEN', 'query/status'],
  ])('%s: 422', async (query, path) => {
    expect(await service.call('GET', `/payments/exceptions?${query}`)).toHaveFaults(path);
  });
});

describe('resolving', () => {
  test.each(['refunded', 'accepted', 'written_off', 'other'])(
    '%s: 200 with the row, one event with the actor, and the order only notes it',
    async (resolution) => {
      const { id, order_id } = await openException();
      const order = (await service.call('GET', `/orders/${order_id}`)).body;
      const note = `because of ${resolution}`;
      const answer = await resolve(id, { resolution, note }, { 'x-request-id': `by-${resolution}` });
      expect([answer.status, answer.headers.etag]).toEqual([200, '"2"']);
      const resolved = { id, status: 'RESOLVED', resolution, note, resolved_by: 'anonymous', version: 2 };
      expect(answer.body).toMatchObject(resolved);
      expect(answer.body.resolved_at).toMatch(/Z$/);
      expect((await service.call('GET', `/payments/exceptions/${id}`)).body).toEqual(answer.body);
      expect((await service.call('GET', `/orders/${order_id}`)).body).toEqual({
        ...order,
        version: order.version + 1,
        updated_at: expect.any(String),
      });
      expect((await eventsOf(id)).slice(1)).toEqual([
        {
          type: 'payment.review_resolved',
          version: 2,
          actor: 'anonymous',
          request_id: `by-${resolution}`,
          payload: { exception: answer.body },
        },
      ]);
    },
  );

  test('a note is optional, except with other', async () => {
    const { id } = await openException();
    expect(await resolve(id, { resolution: 'other' })).toHaveFaults('body/note');
    const { status, body } = await resolve(id, { resolution: 'written_off' });
    expect([status, body.note]).toEqual([200, null]);
  });

  test.each([
    [{}, ['body/resolution']],
    [{ resolution: 'REFUNDED' }, ['body/resolution']],
    [{ resolution: null }, ['body/resolution']],
    [{ resolution: 'refunded', note: '' }, ['body/note']],
    [{ resolution: 'refunded', note: null }, ['body/note']],
    [{ resolution: 'refunded', note: 'x'.repeat(2001) }, ['body/note']],
    [{ resolution: 'refunded', note: 'a\u0000b' }, ['body/note']],
    [{ resolution: 'refunded', amount: 1 }, ['body/amount']],
    [{ resolution: 'paid', note: 5, who: 'me' }, ['body/note', 'body/resolution', 'body/who']],
  ])('%j: 422 with every fault, and it stays open', async (body, paths) => {
    const { id } = await openException();
    expect(await resolve(id, body)).toHaveFaults(...paths);
    expect((await service.call('GET', `/payments/exceptions/${id}`)).body.status).toBe('OPEN');
  });

  test('twice, with the same or another resolution: 409 with the first one, and no second event', async () => {
    const { id } = await openException();
    const first = (await resolve(id, { resolution: 'refunded', note: 'mine' })).body;
    for (const body of [{ resolution: 'refunded', note: 'mine' }, { resolution: 'written_off' }]) {
      const answer = await resolve(id, body);
      expect(answer).toBeProblem(409, 'exception_already_resolved');
      expect(answer.body.detail).toContain('resolved as refunded at ');
      expect(answer.body.current).toEqual(first);
    }
    expect(await eventsOf(id)).toHaveLength(2);
  });

  test('again with the same Idempotency-Key: the first answer; with another command or exception: 409', async () => {
    const [{ id }, other] = [await openException(), await openException()];
    const key = { 'idempotency-key': `resolve-${id}` };
    const first = await resolve(id, { resolution: 'refunded' }, key);
    const again = await resolve(id, { resolution: 'refunded' }, key);
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect([first.headers, again.headers].map((h) => h['idempotency-replayed'])).toEqual([undefined, 'true']);
    expect(await resolve(id, { resolution: 'accepted' }, key)).toBeProblem(409, 'idempotency_key_reused');
    expect(await resolve(other.id, { resolution: 'refunded' }, key)).toBeProblem(
      409,
      'idempotency_key_reused',
    );
    expect(await eventsOf(id)).toHaveLength(2);
    expect(await eventsOf(other.id)).toHaveLength(1);
  });

  test('a refusal is not remembered by its key', async () => {
    const { id } = await openException();
    const key = { 'idempotency-key': `stale-${id}` };
    expect((await resolve(id, { resolution: 'refunded' }, { ...key, 'if-match': '"7"' })).status).toBe(412);
    expect((await resolve(id, { resolution: 'refunded' }, key)).status).toBe(200);
  });

  test('If-Match: 412 with the current state when stale, 200 when not, 422 when malformed', async () => {
    const { id } = await openException();
    const stale = await resolve(id, { resolution: 'refunded' }, { 'if-match': '"2"' });
    expect(stale).toBeProblem(412, 'version_mismatch');
    expect([stale.body.current.version, stale.headers.etag]).toEqual([1, '"1"']);
    expect(await resolve(id, { resolution: 'refunded' }, { 'if-match': '1' })).toHaveFaults(
      'header/if-match',
    );
    expect((await resolve(id, { resolution: 'refunded' }, { 'if-match': '"1"' })).status).toBe(200);
  });

  test('the same under /api/v1', async () => {
    const { id } = await openException();
    const url = `/api/v1/payments/exceptions/${id}`;
    expect((await service.call('POST', `${url}/resolve`, { resolution: 'accepted' })).status).toBe(200);
    const { headers } = await service.call('GET', '/api/v1/payments/exceptions?limit=1');
    expect(headers.link).toMatch(/^<\/api\/v1\/payments\/exceptions\?limit=1&cursor=[\w-]+>; rel="next"$/);
  });
});
