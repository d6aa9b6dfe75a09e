import { createHash, createHmac } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { standardWebhooksKey } from '../../src/lib/signing-key.ts';
import {
  eventIdentity,
  type SignatureHeaders,
  verifySignature,
} from '../../src/inbound/webhook-signature.ts';
import { digestOf, standardHeaders } from '../support/webhooks.ts';

const SECRET = 'test-secret';
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const NONE: SignatureHeaders = {
  signature: undefined,
  webhookId: undefined,
  webhookTimestamp: undefined,
  webhookSignature: undefined,
};

const forms = {
  'sha256=<hex>': (digest: Buffer) => `sha256=${digest.toString('hex')}`,
  'sha256=<HEX>': (digest: Buffer) => `sha256=${digest.toString('hex').toUpperCase()}`,
  'sha256=<base64>': (digest: Buffer) => `sha256=${digest.toString('base64')}`,
  '<hex>': (digest: Buffer) => digest.toString('hex'),
  '<HEX>': (digest: Buffer) => digest.toString('hex').toUpperCase(),
};

const bodies = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes));

function plain(signature: string, body: Buffer, secrets: readonly string[] = [SECRET]) {
  return verifySignature({ ...NONE, signature }, body, secrets, NOW_MS);
}

function standard(body: Buffer, options: Parameters<typeof standardHeaders>[1] = {}): SignatureHeaders {
  const headers = standardHeaders(body, { at: new Date(NOW_MS), ...options });
  return {
    signature: undefined,
    webhookId: headers['webhook-id'],
    webhookTimestamp: headers['webhook-timestamp'],
    webhookSignature: headers['webhook-signature'],
  };
}

function flipBit(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  const index = Math.floor(bit / 8) % bytes.length;
  flipped[index] = (flipped[index] ?? 0) ^ (1 << (bit % 8));
  return flipped;
}

describe.each(Object.entries(forms))('X-Webhook-Signature: %s', (_form, write) => {
  test('any body verifies with its own signature, and with no other secret', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        expect(plain(write(digestOf(body, SECRET)), body)).toBe('x-webhook-signature');
        expect(plain(write(digestOf(body, 'another')), body)).toBe('invalid');
      }),
    );
  });

  test('any single flipped bit of the body or of the digest does not verify', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), (body, bit) => {
        const digest = digestOf(body, SECRET);
        expect(plain(write(digest), flipBit(body, bit))).toBe('invalid');
        expect(plain(write(flipBit(digest, bit % 256)), body)).toBe('invalid');
      }),
    );
  });
});

describe('malformed signatures are invalid, and nothing throws', () => {
  const body = Buffer.from('{"order_id":1}');
  const digest = digestOf(body, SECRET);
  const hex = digest.toString('hex');
  const base64 = digest.toString('base64');

  test.each([
    ['bare base64', base64],
    ['another algorithm', `sha512=${hex}`],
    ['the prefix in capitals', `SHA256=${hex}`],
    ['the prefix alone', 'sha256='],
    ['the prefix twice', `sha256=sha256=${hex}`],
    ['63 digits', hex.slice(0, 63)],
    ['65 digits', `${hex}0`],
    ['two digests', `${hex}${hex}`],
    ['62 digits and two that are none', `${hex.slice(0, 62)}zz`],
    ['a blank in front', ` ${hex}`],
    ['a line break behind', `${hex}\n`],
    ['base64 without padding', `sha256=${base64.slice(0, -1)}`],
    ['base64 with junk inside', `sha256=${base64.slice(0, 10)}!${base64.slice(10)}`],
    ['base64url', `sha256=${Buffer.alloc(32, 0xfb).toString('base64url')}=`],
    ['base64 with loose last bits', `sha256=${'A'.repeat(42)}B=`],
    ['two signatures', `sha256=${hex}, sha256=${hex}`],
    ['blanks', '   '],
    ['a word', 'signature'],
  ])('%s', (_what, signature) => {
    expect(plain(signature, body)).toBe('invalid');
  });

  test('any text at all in any of the four headers', () => {
    const header = fc.option(fc.string({ unit: 'binary', maxLength: 100 }), { nil: undefined });
    fc.assert(
      fc.property(
        header,
        header,
        header,
        header,
        (signature, webhookId, webhookTimestamp, webhookSignature) => {
          const headers = { signature, webhookId, webhookTimestamp, webhookSignature };
          expect(['missing', 'invalid']).toContain(verifySignature(headers, body, [SECRET], NOW_MS));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('an empty header is a missing one; with no secrets at all nothing verifies', () => {
    expect(plain('', body)).toBe('missing');
    expect(verifySignature(NONE, body, [SECRET], NOW_MS)).toBe('missing');
    expect(plain(hex, body, [])).toBe('invalid');
  });
});

describe('Standard Webhooks, signed by the reference implementation', () => {
  const whsec = `whsec_${Buffer.from('a key of thirty-two bytes or so.').toString('base64')}`;

  test.each([
    ['a literal secret', SECRET],
    ['a whsec_ secret', whsec],
  ])('any body verifies with %s, and one flipped bit of it does not', (_what, secret) => {
    fc.assert(
      fc.property(bodies, fc.nat(), (body, bit) => {
        // The reference implementation signs text, so only bodies that are text can be compared with it.
        const text = Buffer.from(body.toString('latin1'));
        const headers = standard(text, { secret });
        expect(verifySignature(headers, text, [secret], NOW_MS)).toBe('standard-webhooks');
        expect(verifySignature(headers, flipBit(text, bit), [secret], NOW_MS)).toBe('invalid');
        expect(verifySignature(headers, text, ['another'], NOW_MS)).toBe('invalid');
      }),
    );
  });

  test.each(['whsec_', 'whsec_A', 'whsec_!!!!', 'whsec_AA-_'])(
    'what is not base64 after whsec_ is a key of its literal bytes, never the empty key: %s',
    (secret) => {
      const text = Buffer.from('{"event_type":"payment.succeeded"}');
      const headersOf = (key: string) => ({
        ...NONE,
        webhookId: 'msg_1',
        webhookTimestamp: String(NOW_MS / 1000),
        webhookSignature: `v1,${createHmac('sha256', key)
          .update(`msg_1.${NOW_MS / 1000}.`)
          .update(text)
          .digest('base64')}`,
      });
      expect(verifySignature(headersOf(''), text, [secret], NOW_MS)).toBe('invalid');
      expect(verifySignature(headersOf(secret), text, [secret], NOW_MS)).toBe('standard-webhooks');
    },
  );

  test('bytes that are no text are signed as bytes', () => {
    const body = Buffer.from([0xff, 0xfe, 0x00]);
    const signed = Buffer.concat([Buffer.from(`msg_1.${NOW_MS / 1000}.`), body]);
    const headers = {
      ...NONE,
      webhookId: 'msg_1',
      webhookTimestamp: String(NOW_MS / 1000),
      webhookSignature: `v1,${createHmac('sha256', SECRET).update(signed).digest('base64')}`,
    };
    expect(verifySignature(headers, body, [SECRET], NOW_MS)).toBe('standard-webhooks');
  });

  const body = Buffer.from('{}');
  test.each([
    [-1_000_000, 'stale'],
    [-301, 'stale'],
    [-300, 'standard-webhooks'],
    [0, 'standard-webhooks'],
    [300, 'standard-webhooks'],
    [301, 'stale'],
  ])('a timestamp %i s from now is %s', (seconds, expected) => {
    const headers = standard(body, { at: new Date(NOW_MS + seconds * 1000) });
    expect(verifySignature(headers, body, [SECRET], NOW_MS)).toBe(expected);
    // Whatever its time, one that another signed is forged.
    expect(verifySignature(headers, body, ['another'], NOW_MS)).toBe('invalid');
  });

  test('a header of 4,096 characters is read, and a longer one is not', () => {
    const { webhookSignature: right = '', ...rest } = standard(body);
    const padded = (length: number) => `${'v2,x '.repeat(1000).slice(0, length - right.length - 1)} ${right}`;
    for (const [length, expected] of [
      [4096, 'standard-webhooks'],
      [4097, 'invalid'],
    ] as const) {
      const webhookSignature = padded(length);
      expect(webhookSignature).toHaveLength(length);
      expect(verifySignature({ ...rest, webhookSignature }, body, [SECRET], NOW_MS)).toBe(expected);
    }
  });

  test.each(['webhookId', 'webhookTimestamp', 'webhookSignature'] as const)(
    'without %s it is invalid',
    (name) => {
      for (const gone of [undefined, '']) {
        const headers = { ...standard(body), [name]: gone };
        expect(verifySignature(headers, body, [SECRET], NOW_MS)).toBe('invalid');
      }
    },
  );

  test('the right signature may stand anywhere among others, and other versions do not count', () => {
    const { webhookSignature: right = '', ...rest } = standard(body);
    const wrong = `v1,${Buffer.alloc(32).toString('base64')}`;
    const verdicts = [
      `${wrong} ${right}`,
      `${right} ${wrong}`,
      `v2,x ${right}`,
      right.replace('v1,', 'v1a,'),
    ].map((webhookSignature) => verifySignature({ ...rest, webhookSignature }, body, [SECRET], NOW_MS));
    expect(verdicts).toEqual(['standard-webhooks', 'standard-webhooks', 'standard-webhooks', 'invalid']);
  });

  test('the id is part of what is signed', () => {
    const headers = { ...standard(body), webhookId: 'msg_2' };
    expect(verifySignature(headers, body, [SECRET], NOW_MS)).toBe('invalid');
  });

  test('a wrong X-Webhook-Signature decides against right Standard headers', () => {
    const headers = { ...standard(body), signature: '0'.repeat(64) };
    expect(verifySignature(headers, body, [SECRET], NOW_MS)).toBe('invalid');
  });
});

describe('the bytes that a secret stands for under Standard Webhooks', () => {
  test.each([
    ['whsec_AAAA', Buffer.alloc(3)],
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')],
    ['whsec_+/+/', Buffer.from('fbffbf', 'hex')],
    ['a plain secret', Buffer.from('a plain secret')],
    ['Whsec_AAAA', Buffer.from('Whsec_AAAA')],
  ])('%s', (secret, key) => {
    expect(standardWebhooksKey(secret)).toEqual(key);
  });

  test.each([
    ['no base64 at all', 'whsec_'],
    ['one letter, which decodes to nothing', 'whsec_A'],
    ['no padding', 'whsec_AAA'],
    ['loose last bits', 'whsec_AAB='],
    ['base64url', 'whsec_-_-_'],
    ['a blank inside', 'whsec_AA AA'],
    ['a line break behind', 'whsec_AAAA\n'],
    ['a sign that is none of base64', 'whsec_!!!!'],
  ])('%s after the prefix: the literal bytes', (_what, secret) => {
    expect(standardWebhooksKey(secret)).toEqual(Buffer.from(secret));
  });

  test('whatever the secret, what is signed with an empty key does not verify', () => {
    const body = Buffer.from('{}');
    const forged = {
      ...standard(body),
      webhookSignature: `v1,${digestOf(`msg_1.${NOW_MS / 1000}.{}`, '').toString('base64')}`,
    };
    const secrets = ['', 'whsec_', 'whsec_A', 'whsec_=', 'whsec_====', 'whsec_!', 'whsec_ '];
    for (const secret of secrets) {
      expect(verifySignature(forged, body, [secret], NOW_MS)).toBe('invalid');
      expect(plain(digestOf(body, '').toString('hex'), body, [secret])).toBe('invalid');
    }
  });
});

test('while a secret is changed, both the current and the previous one verify in both schemes', () => {
  const body = Buffer.from('{}');
  const secrets = ['current', 'previous'];
  const verdicts = [...secrets, 'older'].flatMap((secret) => [
    plain(digestOf(body, secret).toString('hex'), body, secrets),
    verifySignature(standard(body, { secret }), body, secrets, NOW_MS),
  ]);
  expect(verdicts).toEqual([
    'x-webhook-signature',
    'standard-webhooks',
    'x-webhook-signature',
    'standard-webhooks',
    'invalid',
    'invalid',
  ]);
});

test('an event is its event_id, else its webhook-id, else its body; the three can never be the same', () => {
  const body = Buffer.from('x');
  const hash = createHash('sha256').update(body).digest('hex');
  expect(eventIdentity('x', 'y', body)).toBe('event:x');
  expect(eventIdentity(undefined, 'x', body)).toBe('webhook:x');
  expect(eventIdentity(undefined, undefined, body)).toBe(`sha256:${hash}`);
});
