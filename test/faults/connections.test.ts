import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { promisify } from 'node:util';

import { expect, onTestFinished, test } from 'vitest';

import { firstAddress } from '../../src/http/listen.ts';
import { unavailable } from '../../src/lib/errors.ts';
import '../support/problems.ts';
import { type TestService, useTestService } from '../support/service.ts';
import { exchange, listen, parseAnswers, send } from '../support/sockets.ts';

const connections = ({ app }: TestService) =>
  promisify<number>((callback) => app.server.getConnections(callback as never))();

const PAGE = 'GET /products?limit=1000 HTTP/1.1\r\nhost: localhost\r\n';
const PAGES = 14;
/** More than the buffers of both ends of a connection hold: 14 pages of 1 MB. */
const PIPELINE = `${PAGE}\r\n`.repeat(PAGES - 1) + `${PAGE}connection: close\r\n\r\n`;

/** Above the time that a busy machine takes for the first page, and below the one in which the slow reader reads all. */
const STANDSTILL_MS = 4000;
const READ_PAUSE_MS = 22;

/** Reads 64 KB, waits, reads on. */
async function readSlowly(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS));
  }
  return Buffer.concat(chunks).toString('latin1');
}

test('a client that pipelines and never reads is cut; one that reads slowly but steadily gets every answer', async () => {
  // Two connections to the database, so that pages come one after the other.
  const service = await useTestService({ limits: { standstillMs: STANDSTILL_MS }, poolSize: 2 });
  await service.database.query(
    `insert into products (sku, name, description, price, on_hand)
       select 'LONG-' || n, 'Long', repeat('x', 2000), 1, 0 from generate_series(1, 1000) as n`,
  );
  const port = await listen(service);
  const slow = createConnection({ port, host: '127.0.0.1' });
  await once(slow, 'connect');
  slow.write(PIPELINE);
  const answers = parseAnswers(await readSlowly(slow));
  // Not each of them need be a page: of many that are asked for at once, some may be refused.
  expect(answers).toHaveLength(PAGES);
  expect(answers[0]?.status).toBe(200);

  const deaf = createConnection({ port, host: '127.0.0.1' });
  onTestFinished(() => void deaf.destroy());
  deaf.on('error', () => undefined);
  deaf.pause();
  await once(deaf, 'connect');
  deaf.write(PIPELINE);
  await expect.poll(() => connections(service), { interval: 20 }).toBe(0);
});

test('past the bound, new connections are closed and counted; those that are open go on being served', async () => {
  const service = await useTestService({ limits: { maxConnections: 3 } });
  const port = await listen(service);
  const open = await Promise.all(['', '', ''].map((text) => send(port, text)));
  await expect.poll(() => connections(service), { interval: 5 }).toBe(3);
  expect(await exchange(port, '')).toEqual([]);
  open[0]?.socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
  await open[0]?.closed;
  expect(open[0]?.received()).toMatch(/^HTTP\/1\.1 200 /);
  const { text } = await service.call('GET', '/metrics');
  expect(text).toMatch(/^http_connections_dropped_total 1$/m);
});

test('a name with several addresses has one listener', async () => {
  const service = await useTestService({});
  await service.app.listen({ host: await firstAddress('localhost'), port: 0 });
  expect(service.app.addresses()).toHaveLength(1);
  expect(await firstAddress('::1')).toBe('::1');
  expect(await firstAddress('0.0.0.0')).toBe('0.0.0.0');
});

test('20 probes of /readyz at once share one check; while draining each is 503 without one', async () => {
  let checks = 0;
  let isDraining = false;
  const check = async () => {
    checks += 1;
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (checks === 2) throw unavailable('away');
  };
  const service = await useTestService({ readiness: { check, isDraining: () => isDraining } });
  const probe = async () => {
    const paths = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? '/readyz' : '/api/v1/readyz'));
    const answers = await Promise.all(paths.map((path) => service.call('GET', path)));
    return [...new Set(answers.map(({ status }) => status))];
  };
  expect([await probe(), checks]).toEqual([[200], 1]);
  expect([await probe(), checks]).toEqual([[503], 2]);
  expect([await probe(), checks]).toEqual([[200], 3]);
  isDraining = true;
  expect([await probe(), checks]).toEqual([[503], 3]);
});

test('/readyz and /metrics are at most a second old, and cost one look meanwhile', async () => {
  let checks = 0;
  const check = async () => void (checks += 1);
  const limits = { sharedAnswerMs: 60_000 };
  const service = await useTestService({ readiness: { check, isDraining: () => false }, limits });
  const metrics = () => service.call('GET', '/metrics').then(({ text }) => text);
  const before = await metrics();
  for (let i = 0; i < 3; i++) expect((await service.call('GET', '/readyz')).status).toBe(200);
  expect(checks).toBe(1);
  expect(await metrics()).toBe(before);
});
