import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';

import { expect, onTestFinished, test } from 'vitest';

import { closeApp } from '../../src/http/drain.ts';
import { together, useTestService } from '../support/race.ts';
import type { TestService } from '../support/service.ts';

async function listen({ app }: TestService): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** A socket that has sent `text`; what comes back is in `received()`. */
async function send(port: number, text: string) {
  const socket = connect(port, '127.0.0.1');
  const begun = performance.now();
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  // A reset is an end as good as another.
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => {
    socket.on('close', () => resolve(performance.now() - begun));
  });
  await once(socket, 'connect');
  onTestFinished(() => void socket.destroy());
  if (text !== '') socket.write(text);
  return { socket, closed, received: () => received };
}

test('half a header, half a body and nothing at all: each socket is closed within 14 s, the first two with one 408', async () => {
  const service = await useTestService();
  const port = await listen(service);
  const body =
    'POST /orders HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"pro';
  const sockets = await Promise.all(
    ['GET /products HTTP/1.1\r\nhost: a\r\nx-sl', body, ''].map((text) => send(port, text)),
  );
  const times = await Promise.all(sockets.map(({ closed }) => closed));
  expect(Math.max(...times)).toBeLessThan(14_000);
  expect(Math.min(...times)).toBeGreaterThan(7500);
  for (const { received } of sockets.slice(0, 2)) {
    const [head, answer, ...more] = received().split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 408 [^]*\r\nconnection: close/i);
    expect(JSON.parse(answer ?? '')).toMatchObject({ status: 408, code: 'request_timeout' });
    expect(more).toEqual([]);
  }
});

test('5 idle keep-alive sockets do not delay the close: it takes less than 2 s', async () => {
  const service = await useTestService();
  const port = await listen(service);
  const idle = await together(5, () => send(port, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n'));
  for (const { received } of idle)
    await expect.poll(received, { interval: 5, timeout: 10_000 }).toMatch(/^HTTP\/1\.1 200 /);
  const begun = performance.now();
  await closeApp(service.app);
  expect(performance.now() - begun).toBeLessThan(2000);
  await Promise.all(idle.map(({ closed }) => closed));
});

test('a socket with half a request and one with nothing do not hang the close: it takes 5 s at most', async () => {
  const service = await useTestService();
  const port = await listen(service);
  const open = await Promise.all(
    ['POST /orders HTTP/1.1\r\nhost: a\r\n', ''].map((text) => send(port, text)),
  );
  const begun = performance.now();
  await closeApp(service.app);
  expect(performance.now() - begun).toBeLessThan(5000);
  await Promise.all(open.map(({ closed }) => closed));
});
