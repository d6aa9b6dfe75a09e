import { expect, test, vi } from 'vitest';

import { closeApp } from '../../src/http/drain.ts';
import { together } from '../support/race.ts';
import { useTestService } from '../support/service.ts';
import { listen, send } from '../support/sockets.ts';

test('half a header, half a body and nothing at all: each socket is closed after 8 s, the first two with one 408', async () => {
  const service = await useTestService();
  const port = await listen(service);
  const body =
    'POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"pro';
  const sockets = await Promise.all(
    ['GET /products HTTP/1.1\r\nhost: localhost\r\nx-sl', body, ''].map((text) => send(port, text)),
  );
  const times = await Promise.all(sockets.map(({ closed }) => closed));
  // Without bounds of the service, Node would close them after its 60 s.
  expect(Math.max(...times)).toBeLessThan(60_000);
  expect(Math.min(...times)).toBeGreaterThan(7500);
  for (const { received } of sockets.slice(0, 2)) {
    const [head, answer, ...more] = received().split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 408 [^]*\r\nconnection: close/i);
    expect(JSON.parse(answer ?? '')).toMatchObject({ status: 408, code: 'request_timeout' });
    expect(more).toEqual([]);
  }
});

test('5 idle keep-alive sockets do not delay the close: it ends before its bound of 3 s', async () => {
  const service = await useTestService();
  const port = await listen(service);
  const idle = await together(5, () => send(port, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'));
  for (const { received } of idle) await expect.poll(received, { interval: 5 }).toMatch(/^HTTP\/1\.1 200 /);
  const cutOff = vi.spyOn(service.app, 'refuseUnderWay');
  await closeApp(service.app);
  expect(cutOff).not.toHaveBeenCalled();
  await Promise.all(idle.map(({ closed }) => closed));
});

test('a socket with half a request and one with nothing do not hang the close: its bound of 3 s cuts them off', async () => {
  const service = await useTestService();
  const port = await listen(service);
  const open = await Promise.all(
    ['POST /orders HTTP/1.1\r\nhost: localhost\r\n', ''].map((text) => send(port, text)),
  );
  const cutOff = vi.spyOn(service.app, 'refuseUnderWay');
  await closeApp(service.app);
  expect(cutOff).toHaveBeenCalledOnce();
  await Promise.all(open.map(({ closed }) => closed));
  // The bounds on slow clients would have ended them after 8 s, with an answer.
  expect(open.map(({ received }) => received())).toEqual(['', '']);
});
