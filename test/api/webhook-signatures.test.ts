import { describe, expect, test } from 'vitest';

import '../support/problems.ts';
import { useSharedService, useTestService } from '../support/service.ts';
import { deliver, digestOf, standardHeaders, storedPaymentEvents } from '../support/webhooks.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const WHSEC = `whsec_${Buffer.from('a key of thirty-two bytes or so.').toString('base64')}`;
const SECRETS = ['current-secret', WHSEC];

const service = useSharedService({ webhookSecrets: SECRETS, clock: { nowMs: () => NOW_MS } });

async function pendingOrder(): Promise<number> {
  return (await service.placeOrder((await service.createProduct()).id, 1)).id;
}

async function statusOf(id: number): Promise<string> {
  return (await service.call('GET', `/orders/${id}`)).body.status;
}

function paymentOf(orderId: number): string {
  return JSON.stringify({ event_type: 'payment.succeeded', order_id: orderId });
}

function at(seconds: number) {
  return { secret: 'current-secret', at: new Date(NOW_MS + seconds * 1000) };
}

const FORMS: Record<string, (digest: Buffer) => string> = {
  'sha256=<hex>': (digest) => `sha256=${digest.toString('hex')}`,
  'sha256=<HEX>': (digest) => `sha256=${digest.toString('hex').toUpperCase()}`,
  'sha256=<base64>': (digest) => `sha256=${digest.toString('base64')}`,
  'bare hex': (digest) => digest.toString('hex'),
  'bare HEX': (digest) => digest.toString('hex').toUpperCase(),
};

describe('X-Webhook-Signature in each of its forms, with each of the two secrets', () => {
  const cases = Object.entries(FORMS).flatMap(([form, write]) =>
    SECRETS.map((secret) => ({ form, write, secret })),
  );
  test.each(cases)('$form of $secret pays the order', async ({ write, secret }) => {
    const id = await pendingOrder();
    const payload = paymentOf(id);
    const { status, body } = await deliver(service, payload, {
      'x-webhook-signature': write(digestOf(payload, secret)),
    });
    expect([status, body]).toEqual([200, { status: 'processed', order_id: id, new_status: 'PAID' }]);
    expect(await statusOf(id)).toBe('PAID');
    expect(await storedPaymentEvents(service, id)).toMatchObject([{ scheme: 'x-webhook-signature' }]);
  });
});

describe('what does not verify', () => {
  const payload = '{"event_type":"payment.succeeded","order_id":1,"note":"never stored"}';
  const digest = digestOf(payload, 'current-secret');
  const hex = digest.toString('hex');
  const MISSING: [string, Record<string, string>][] = [
    ['no header at all', {}],
    ['an empty header', { 'x-webhook-signature': '' }],
    [
      'an empty header beside right Standard ones',
      { 'x-webhook-signature': '', ...standardHeaders(payload, at(0)) },
    ],
    ['empty Standard headers', { 'webhook-id': '', 'webhook-timestamp': '', 'webhook-signature': '' }],
  ];
  test.each(MISSING)('%s: 401, in exactly these words', async (_what, headers) => {
    const answer = await deliver(service, payload, headers);
    expect(answer).toBeProblem(401, 'missing_signature', 'Missing webhook signature');
  });

  const WRONG: [string, string][] = [
    ['another secret', digestOf(payload, 'another').toString('hex')],
    [
      'the decoded key of the whsec_ secret',
      digestOf(payload, 'a key of thirty-two bytes or so.').toString('hex'),
    ],
    ['the signature of another body', digestOf(`${payload} `, 'current-secret').toString('hex')],
    ['bare base64', digest.toString('base64')],
    ['base64url', `sha256=${digest.toString('base64url')}`],
    ['63 digits', `sha256=${hex.slice(1)}`],
    ['65 digits', `sha256=${hex}0`],
    ['62 digits and two letters that are none', `sha256=${hex.slice(0, 62)}zz`],
    ['base64 with a blank inside', `sha256=${digest.toString('base64').replace(/^(.{9})/, '$1 ')}`],
    ['base64 with more behind it', `sha256=${digest.toString('base64')}AAAA`],
    ['another algorithm', `sha1=${hex}`],
    ['two signatures in one header', `sha256=${hex},sha256=${hex}`],
    ['letters beyond ASCII', 'ä'.repeat(64)],
    ['8,000 letters', 'a'.repeat(8000)],
    ['a word', 'x'],
    ['sha256= alone', 'sha256='],
  ];
  test.each(WRONG)('%s: 403, in exactly these words, and never 500', async (_what, signature) => {
    const answer = await deliver(service, payload, { 'x-webhook-signature': signature });
    expect(answer).toBeProblem(403, 'invalid_signature', 'Invalid webhook signature');
  });

  test('a wrong X-Webhook-Signature decides alone, beside Standard headers that are right', async () => {
    const headers = { ...standardHeaders(payload, at(0)), 'x-webhook-signature': '0'.repeat(64) };
    expect(await deliver(service, payload, headers)).toBeProblem(403, 'invalid_signature');
  });

  const right = standardHeaders(payload, at(0));
  const BROKEN: [string, Record<string, string | undefined>][] = [
    ['without webhook-id', { 'webhook-id': undefined }],
    ['without webhook-timestamp', { 'webhook-timestamp': undefined }],
    ['without webhook-signature', { 'webhook-signature': undefined }],
    ['webhook-id alone', { 'webhook-timestamp': undefined, 'webhook-signature': undefined }],
    ['with an empty webhook-id', { 'webhook-id': '' }],
    ['with another webhook-id', { 'webhook-id': 'msg_2' }],
    ['with a webhook-id of 256 letters', { 'webhook-id': 'm'.repeat(256) }],
    ['with another time', { 'webhook-timestamp': String(NOW_MS / 1000 + 1) }],
    ['with a time in milliseconds', { 'webhook-timestamp': String(NOW_MS) }],
    ['with a time that is no number', { 'webhook-timestamp': 'now' }],
    ['with a negative time', { 'webhook-timestamp': '-1' }],
    ['with a time of NaN', { 'webhook-timestamp': 'NaN' }],
    ['with a time in exponents', { 'webhook-timestamp': '1e9' }],
    [
      'of version v2',
      { 'webhook-signature': standardHeaders(payload, at(0))['webhook-signature'].replace('v1', 'v2') },
    ],
    [
      'without a version',
      { 'webhook-signature': standardHeaders(payload, at(0))['webhook-signature'].slice(3) },
    ],
    ['with a hex signature', { 'webhook-signature': `v1,${hex}` }],
    ['with an empty signature', { 'webhook-signature': 'v1,' }],
    ['with the X-Webhook-Signature digest', { 'webhook-signature': `v1,${digest.toString('base64')}` }],
  ];
  test.each(BROKEN)('Standard Webhooks %s: 403', async (_what, change) => {
    const entries = Object.entries({ ...right, ...change }).filter(([, value]) => value !== undefined);
    const answer = await deliver(service, payload, Object.fromEntries(entries));
    expect(answer).toBeProblem(403, 'invalid_signature', 'Invalid webhook signature');
  });

  test('after all of these, nothing is stored', async () => {
    expect(
      await service.database.query(
        `select 1 from inbound_deliveries where raw_body = $1 and outcome not in ('failed', 'refused')`,
        [payload],
      ),
    ).toEqual([]);
  });
});

describe('Standard Webhooks, signed by the reference implementation', () => {
  test.each([
    ['a literal secret', 'current-secret'],
    ['a whsec_ secret', WHSEC],
  ])('%s pays the order', async (_what, secret) => {
    const id = await pendingOrder();
    const payload = paymentOf(id);
    const headers = standardHeaders(payload, { secret, at: new Date(NOW_MS), id: `msg_${id}` });
    const { status, body } = await deliver(service, payload, headers);
    expect([status, body]).toEqual([200, { status: 'processed', order_id: id, new_status: 'PAID' }]);
    const stored = [{ scheme: 'standard-webhooks', identity: `webhook:msg_${id}` }];
    expect(await storedPaymentEvents(service, id)).toMatchObject(stored);
  });

  test.each([
    [-301, 403],
    [-300, 200],
    [300, 200],
    [301, 403],
  ])('a timestamp %i s from now: %i', async (seconds, expected) => {
    const id = await pendingOrder();
    const payload = paymentOf(id);
    const headers = standardHeaders(payload, { ...at(seconds), id: `msg_${id}` });
    expect((await deliver(service, payload, headers)).status).toBe(expected);
    expect(await statusOf(id)).toBe(expected === 200 ? 'PAID' : 'PENDING');
  });

  test('several signatures in one header: one that is right is enough', async () => {
    const id = await pendingOrder();
    const payload = paymentOf(id);
    const headers = standardHeaders(payload, { ...at(0), id: `msg_${id}` });
    const old = standardHeaders(payload, { secret: 'older', at: new Date(NOW_MS), id: `msg_${id}` });
    const both = `${old['webhook-signature']} ${headers['webhook-signature']}`;
    expect((await deliver(service, payload, { ...headers, 'webhook-signature': both })).status).toBe(200);
  });
});

test('after the change of secrets is over, the previous one no longer verifies', async () => {
  const after = await useTestService({ webhookSecrets: ['current-secret'] });
  const signature = digestOf('{}', WHSEC).toString('hex');
  const answer = await deliver(after, '{}', { 'x-webhook-signature': signature });
  expect(answer).toBeProblem(403, 'invalid_signature', 'Invalid webhook signature');
});
