import { describe, expect, test } from 'vitest';

import { signPayload, useSharedService } from '../support/service.ts';
import { deliver } from '../support/webhooks.ts';

const service = useSharedService();

async function pendingOrder(): Promise<number> {
  return (await service.placeOrder((await service.createProduct()).id, 1)).id;
}

function send(payload: string) {
  return deliver(service, payload, { 'x-webhook-signature': signPayload(payload) });
}

describe('a signed body that says two things is kept in the inbox, and moves nothing', () => {
  const BODIES: [what: string, status: number, spell: (id: number) => string][] = [
    [
      'a member that is named twice',
      400,
      (id) => `{"order_id":999999,"event_type":"payment.succeeded","order_id":${id}}`,
    ],
    [
      'a member that is named twice, in escapes and deep inside',
      400,
      (id) =>
        String.raw`{"event_type":"payment.succeeded","order_id":${id},"card":[{"brand":1,"\u0062rand":2}]}`,
    ],
    [
      'an amount of 16 digits, which would be rounded to 10',
      422,
      (id) => `{"event_type":"payment.succeeded","order_id":${id},"amount":10.00000000000001}`,
    ],
    [
      'an order whose id would be rounded',
      422,
      (id) => `{"event_type":"payment.succeeded","order_id":${id}.00000000000000001}`,
    ],
  ];
  test.each(BODIES)('%s: %i', async (_what, status, spell) => {
    const id = await pendingOrder();
    const payload = spell(id);
    expect((await send(payload)).status).toBe(status);
    expect((await service.call('GET', `/orders/${id}`)).body.status).toBe('PENDING');
    const latest = async () => (await service.call('GET', '/webhooks/inbox?outcome=failed&limit=1')).body[0];
    await expect.poll(latest).toMatchObject({ verdict: 'valid', outcome: 'failed', raw_body: payload });
  });

  test('numbers that decide nothing may have as many digits as their provider likes', async () => {
    const id = await pendingOrder();
    const { body } = await send(
      `{"event_type":"payment.succeeded","order_id":${id},"rate":0.12345678901234567890}`,
    );
    expect(body.new_status).toBe('PAID');
  });
});
