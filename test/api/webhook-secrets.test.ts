import { Writable } from 'node:stream';

import { pino } from 'pino';
import { expect, test } from 'vitest';

import { jsonLine, type RequestEntry } from '../../src/http/request-line.ts';
import { inboxOf, nextOrderId, replay } from '../support/inbox.ts';
import { type TestService, useTestService } from '../support/service.ts';
import { deliver, digestOf, standardHeaders } from '../support/webhooks.ts';

const CURRENT = 'the current secret of this shop';
const KEY = 'a key of thirty-two bytes or so.';
const WHSEC = `whsec_${Buffer.from(KEY).toString('base64')}`;

const paymentOf = (order_id: unknown) => JSON.stringify({ event_type: 'payment.succeeded', order_id });
const plain = (payload: string, secret: string) => ({
  'x-webhook-signature': `sha256=${digestOf(payload, secret).toString('hex')}`,
});

/** Every row of every table, as text; bytes are in hex there. */
async function dump({ database }: TestService): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `select quote_ident(table_name) as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE'`,
  );
  expect(tables.length).toBeGreaterThan(8);
  const rows = await Promise.all(
    tables.map(({ name }) => database.query<{ row: string }>(`select t::text as row from ${name} t`)),
  );
  return rows
    .flat()
    .map(({ row }) => row)
    .join('\n');
}

test('after valid, forged, stale, unsigned, failing and replayed deliveries, no secret and no signature is in any table, log line or answer', async () => {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const logger = pino({ level: 'trace' }, stream);
  const logRequest = (entry: RequestEntry) => void lines.push(jsonLine(entry));
  const service = await useTestService({ webhookSecrets: [CURRENT, WHSEC], logger, logRequest });
  const { id: productId } = await service.createProduct();
  const sent = new Set<string>([CURRENT, KEY, WHSEC, WHSEC.slice(6)]);
  const answers: string[] = [];
  const send = async (payload: string, headers: Record<string, string>) => {
    for (const name of ['x-webhook-signature', 'webhook-signature']) {
      const value = headers[name];
      if (value !== undefined && value !== '') sent.add(value.replace(/^(sha256=|v1,)/, ''));
    }
    const { status, text } = await deliver(service, payload, headers);
    answers.push(text);
    return status;
  };
  const statuses: number[] = [];
  for (const secret of [CURRENT, WHSEC]) {
    const payload = paymentOf((await service.placeOrder(productId, 1)).id);
    const stale = { secret, at: new Date(Date.now() - 3_600_000) };
    statuses.push(
      await send(payload, plain(payload, secret)),
      await send(payload, {
        'x-webhook-signature': `sha256=${digestOf(payload, secret).toString('base64')}`,
      }),
      await send(payload, standardHeaders(payload, { secret, id: `msg-${secret.length}` })),
      await send(payload, standardHeaders(payload, stale)),
      await send(`${payload} `, plain(payload, secret)),
      // A provider that was set up in a hurry sends the secret itself.
      await send(payload, { 'x-webhook-signature': secret }),
      await send(payload, { ...plain(payload, secret), 'content-type': 'text/plain' }),
      await send(paymentOf('x'), plain(paymentOf('x'), secret)),
      await send(payload, {}),
    );
  }
  expect(statuses).toEqual([
    200, 200, 200, 403, 403, 403, 415, 422, 401, 200, 200, 200, 403, 403, 403, 415, 422, 401,
  ]);
  const early = paymentOf(await nextOrderId(service));
  expect(await send(early, plain(early, CURRENT))).toBe(404);
  await service.placeOrder(productId, 1);
  const [failed] = await inboxOf(service, 'outcome=failed&limit=1');
  answers.push((await replay(service, failed.id)).text);
  answers.push(
    (await service.call('GET', '/webhooks/inbox')).text,
    (await service.call('GET', '/metrics')).text,
  );

  const tables = await dump(service);
  // Proof that this search finds what is there.
  expect(tables).toContain(Buffer.from(early).toString('hex'));
  expect(lines.join('')).toContain('/webhooks/payment');
  expect(sent.size).toBeGreaterThan(12);
  for (const where of [tables, lines.join(''), answers.join('\n')]) {
    const found = [...sent].filter(
      (secret) => where.includes(secret) || where.includes(Buffer.from(secret).toString('hex')),
    );
    expect(found).toEqual([]);
  }
});
