import type { IncomingHttpHeaders } from 'node:http';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Provider, SignedMessage } from '../../src/inbound/provider.ts';
import { AppError } from '../../src/lib/errors.ts';
import { nextOrderId } from './inbox.ts';
import { expectStockAddsUp } from './invariants.ts';
import { type TestServiceOptions, useTestService } from './service.ts';
import './problems.ts';

/** The part of a provider that only its own documentation knows. */
export interface ProviderSample {
  /** A provider that verifies with this secret, and with a former one beside it. */
  provider: Provider;
  secrets: readonly [current: string, former: string];
  /** The headers of a delivery, signed as the provider signs it. */
  sign: (body: string | Buffer, secret: string, atMs: number) => Record<string, string>;
  /** Bodies as the provider sends them; one without a type of ours is an event that the shop does not use. */
  write: (event: SampleEvent) => string;
  /** Settings under which the service takes its deliveries. */
  settings: TestServiceOptions;
  /** Whether its signature covers a time. */
  signsTime: boolean;
}

export interface SampleEvent {
  type: 'payment.succeeded' | 'payment.failed' | 'payment.refunded' | undefined;
  orderId: number;
  eventId: string;
  amountCents: number;
}

/** Every promise about inbound deliveries that must hold whichever provider sends them. */
export function describeProvider(sample: ProviderSample): void {
  describeReading(sample);
  describeRoute(sample);
}

function describeReading({ provider, secrets, sign, write, signsTime }: ProviderSample): void {
  const now = Date.parse('2026-01-02T03:04:05Z');
  const paid: SampleEvent = { type: 'payment.succeeded', orderId: 1, eventId: 'e1', amountCents: 1000 };
  const verify = (headers: IncomingHttpHeaders, body: string | Buffer, at = now) =>
    provider.verify(headers, Buffer.from(body), at);
  const messageOf = (body: string | Buffer): SignedMessage => {
    const verified = verify(sign(body, secrets[0], now), body);
    if (typeof verified === 'string') throw new Error(`a right signature is ${verified}`);
    return verified;
  };
  const readText = (body: string) => {
    const message = messageOf(body);
    return provider.read(provider.parse(message.rawBody), message);
  };

  describe(`${provider.name}: the signature`, () => {
    test.each(secrets)('is right under each secret that is set: %s', (secret) => {
      const body = write(paid);
      const verified = verify(sign(body, secret, now), body);
      expect(verified).toMatchObject({ rawBody: Buffer.from(body), scheme: expect.any(String) });
    });

    test('covers every byte: one bit flipped anywhere is forged', () => {
      const body = Buffer.from(write(paid));
      const headers = sign(body, secrets[0], now);
      for (let at = 0; at < body.length; at++) {
        const other = Buffer.from(body);
        other.writeUInt8(body.readUInt8(at) ^ 1, at);
        expect(verify(headers, other)).toBe('forged');
      }
    });

    test('of another secret is forged, none at all is missing, and headers of any kind never throw', () => {
      const body = write(paid);
      expect(verify(sign(body, 'another-secret-of-24-bytes-or-so', now), body)).toBe('forged');
      expect(verify({}, body)).toBe('missing');
      const names = Object.keys(sign(body, secrets[0], now));
      fc.assert(
        fc.property(fc.array(fc.string(), { minLength: names.length, maxLength: names.length }), (values) => {
          const headers = Object.fromEntries(names.map((name, n) => [name, values[n]]));
          expect(['missing', 'forged']).toContain(verify(headers, body));
        }),
        { numRuns: 200 },
      );
    });

    test.runIf(signsTime)('is stale, not forged, more than five minutes off in either direction', () => {
      const body = write(paid);
      for (const minutes of [-6, 6]) {
        expect(verify(sign(body, secrets[0], now + minutes * 60_000), body)).toBe('stale');
      }
      expect(verify(sign(body, 'another-secret-of-24-bytes-or-so', now + 360_000), body)).toBe('forged');
    });
  });

  describe(`${provider.name}: reading`, () => {
    test.each(['payment.succeeded', 'payment.failed', 'payment.refunded'] as const)('%s', (type) => {
      const event = readText(write({ ...paid, type, orderId: 77 }));
      expect(event).toMatchObject({ type, orderId: 77, replayed: false });
    });

    test.each(['payment.succeeded', 'payment.refunded'] as const)('the amount of %s, in cents', (type) => {
      expect(readText(write({ ...paid, type, amountCents: 1999 })).amountCents).toBe(1999);
    });

    test('two events differ in identity, two copies of one do not, and what is described has the same', () => {
      const [one, again, two] = ['e1', 'e1', 'e2'].map((eventId) => write({ ...paid, eventId }));
      const identities = [one, again, two].map((body) => readText(body ?? '').identity);
      expect(identities[0]).toBe(identities[1]);
      expect(identities[0]).not.toBe(identities[2]);
      const message = messageOf(one ?? '');
      const { identity } = provider.describe(provider.parse(message.rawBody), message);
      expect(identity).toBe(identities[0]);
    });

    test('any bytes are parsed or refused in a problem, and described without an error', () => {
      const signed = messageOf(write(paid));
      const bodies = fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        fc.json().map((text) => Buffer.from(text)),
      );
      fc.assert(
        fc.property(bodies, (rawBody) => {
          const message = { ...signed, rawBody };
          expect(provider.describe(undefined, message).identity).not.toBe('');
          try {
            expect(provider.describe(provider.parse(rawBody), message).identity).not.toBe('');
          } catch (error) {
            if (!(error instanceof AppError)) throw error;
          }
        }),
        { numRuns: 300 },
      );
    });
  });
}

function describeRoute({ provider, secrets, sign, write, settings }: ProviderSample): void {
  test(`${provider.path}: verified before it is parsed, applied once, replayed once it can be`, async () => {
    const service = await useTestService(settings);
    const { id } = await service.createProduct({ price: 10 });
    const { id: orderId } = await service.placeOrder(id, 1);
    const send = (body: string, headers: Record<string, string> = sign(body, secrets[0], Date.now())) =>
      service.call('POST', provider.path, body, headers);
    const event: SampleEvent = { type: 'payment.succeeded', orderId, eventId: 'one', amountCents: 1000 };

    expect(await send('{', {})).toBeProblem(401, 'missing_signature');
    const forged = sign('{', 'another-secret-of-24-bytes-or-so', Date.now());
    expect(await send('{', forged)).toBeProblem(403, 'invalid_signature');
    expect(await send('{')).toBeProblem(400, 'malformed_request');

    expect((await send(write(event))).body).toEqual({
      status: 'processed',
      order_id: orderId,
      new_status: 'PAID',
    });
    expect((await send(write(event))).body.status).toBe('already_processed');
    const unused = write({ ...event, type: undefined, eventId: 'unused' });
    expect((await send(unused)).body.status).toBe('ignored');

    const early = write({ ...event, orderId: await nextOrderId(service), eventId: 'early' });
    expect(await send(early)).toBeProblem(404, 'order_not_found');
    await service.placeOrder(id, 1);
    const [failed] = (
      await service.call('GET', '/webhooks/inbox?outcome=failed&event_type=payment.succeeded')
    ).body;
    const replayed = await service.call('POST', `/webhooks/inbox/${failed.id}/replay`);
    expect(replayed.body.status).toBe('processed');
    expect((await send(early)).body.status).toBe('already_processed');
    await expectStockAddsUp(service.database);
  });
}
