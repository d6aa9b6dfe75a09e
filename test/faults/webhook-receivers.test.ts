import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';

import { Webhook } from 'standardwebhooks';
import { expect, onTestFinished, test } from 'vitest';

import { systemClock } from '../../src/lib/clock.ts';
import { createSender, type SenderOptions } from '../../src/outbound/sender.ts';
import { answerWith, useReceiver } from '../support/receivers.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../support/certificate.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const OLD_SECRET = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
const message = { id: 'evt_1', body: '{"type":"order.paid","é":1}', secrets: [SECRET], traceparent: null };

function useSender(options: Partial<SenderOptions> = {}) {
  const sender = createSender({
    rules: { insecure: true },
    resolve: async () => ['127.0.0.1'],
    clock: systemClock,
    connections: 4,
    ...options,
  });
  onTestFinished(() => sender.close());
  return sender;
}

/** A receiver that says exactly these bytes and then does what it is told with the connection. */
async function useRawReceiver(answer: string, end: 'keep' | 'reset' | 'end'): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      if (end === 'end') return socket.end(answer);
      return socket.write(answer, () => (end === 'reset' ? socket.resetAndDestroy() : undefined));
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test('a delivery is signed as Standard Webhooks says, with every secret that is current', async () => {
  const receiver = await useReceiver(answerWith(204));
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const signed = { ...message, url: receiver.url, secrets: [SECRET, OLD_SECRET], traceparent };
  expect(await useSender().send(signed)).toMatchObject({ status: 204, fault: null });
  const [{ headers, body } = { headers: {}, body: '' }] = receiver.received;
  for (const secret of [SECRET, OLD_SECRET]) {
    expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(message.body));
  }
  expect(() => new Webhook(`whsec_${Buffer.alloc(32).toString('base64')}`).verify(body, headers)).toThrow(
    'No matching signature found',
  );
  expect(headers).toMatchObject({ 'webhook-id': 'evt_1', 'content-type': 'application/json', traceparent });
});

test('the first 1 KiB of an answer is kept as text that PostgreSQL can store', async () => {
  const receiver = await useReceiver(answerWith(500, {}, `a\0${'é'.repeat(1000)}`));
  const { response } = await useSender().send({ ...message, url: receiver.url });
  expect(response).toBe(`a\uFFFD${'é'.repeat(511)}`);
});

test('301: the answer is the result, and the Location is neither followed nor kept', async () => {
  const target = await useReceiver(answerWith(200));
  const receiver = await useReceiver(answerWith(301, { location: target.url }));
  const sent = await useSender().send({ ...message, url: receiver.url });
  expect(sent).toMatchObject({ status: 301, fault: null });
  expect(JSON.stringify(sent)).not.toContain(String(target.port));
  expect(target.received).toEqual([]);
});

test('Retry-After is handed on', async () => {
  const receiver = await useReceiver(answerWith(429, { 'retry-after': '17' }));
  const sent = await useSender().send({ ...message, url: receiver.url });
  expect([sent.status, sent.retryAfter]).toEqual([429, '17']);
});

test('a receiver that never answers, or drips its answer for ever, ends at the deadline', async () => {
  const hang = await useReceiver(() => undefined);
  const drip = await useReceiver((_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('.'), 5);
    response.on('close', () => clearInterval(timer));
  });
  const sender = useSender({ deadlineMs: 100 });
  for (const { url } of [hang, drip]) {
    expect(await sender.send({ ...message, url })).toMatchObject({ status: null, fault: 'timeout' });
  }
});

test('an answer that breaks off is no receipt, in its head and in its body', async () => {
  const sender = useSender();
  for (const [answer, end] of [
    ['HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc', 'reset'],
    ['HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc', 'end'],
    ['HTTP/1.1 20', 'reset'],
    ['', 'reset'],
    ['', 'end'],
  ] as const) {
    const sent = await sender.send({ ...message, url: await useRawReceiver(answer, end) });
    expect([answer, end, sent.status, sent.fault]).toEqual([answer, end, null, 'broken_off']);
  }
});

test('a huge answer is read to 16 KiB and then left; its status counts', async () => {
  let written = 0;
  const huge = await useReceiver((_request, response) => {
    response.writeHead(200);
    const more = () => {
      while (!response.destroyed && written < 50_000_000) {
        written += 65_536;
        if (!response.write(Buffer.alloc(65_536))) return response.once('drain', more);
      }
      return response.end();
    };
    more();
  });
  const sent = await useSender().send({ ...message, url: huge.url });
  expect([sent.status, sent.fault, sent.response?.length]).toEqual([200, null, 1024]);
  expect(written).toBeLessThan(50_000_000);
});

test('headers beyond 16 KiB, and what is not HTTP, are malformed answers', async () => {
  const sender = useSender();
  const long = await useReceiver(
    answerWith(200, { 'x-long': 'x'.repeat(15_900), 'x-more': 'x'.repeat(900) }),
  );
  const garbage = await useRawReceiver('SSH-2.0-OpenSSH\r\n\r\n', 'keep');
  for (const url of [long.url, garbage]) {
    expect(await sender.send({ ...message, url })).toMatchObject({ status: null, fault: 'malformed_answer' });
  }
});

test('nothing listens: unreachable, without an address or a port in the result', async () => {
  const closed = await useReceiver(answerWith(200));
  await closed.close();
  const sent = await useSender().send({ ...message, url: closed.url });
  expect(sent).toMatchObject({ status: null, fault: 'unreachable', response: null });
});

test('a name server that never answers ends after its time, and does not hold up another endpoint', async () => {
  const receiver = await useReceiver(answerWith(200));
  const sender = useSender({
    resolve: async (name) => (name === 'slow.example' ? new Promise<never>(() => undefined) : ['127.0.0.1']),
    resolveTimeoutMs: 200,
  });
  const slow = sender.send({ ...message, url: `http://slow.example:${receiver.port}/` });
  const fast = await sender.send({ ...message, url: `http://fast.example:${receiver.port}/` });
  expect(fast.status).toBe(200);
  expect(await slow).toMatchObject({ status: null, fault: 'unresolved' });
});

test('what waits for a connection has the same deadline as what has one', async () => {
  const hang = await useReceiver(() => undefined);
  const sender = useSender({ connections: 1, deadlineMs: 100 });
  const both = await Promise.all([1, 2].map(() => sender.send({ ...message, url: hang.url })));
  expect(both.map(({ fault }) => fault)).toEqual(['timeout', 'timeout']);
});

test('a certificate must be one of a known authority and of this name, whatever the environment and the rules say', async () => {
  const server = createTlsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (request, response) => {
    request.resume();
    response.end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  onTestFinished(() => {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
  });
  const send = (host: string, ca?: string) =>
    useSender(ca === undefined ? {} : { ca }).send({ ...message, url: `https://${host}:${port}/` });
  expect(await send('receiver.example')).toMatchObject({ status: null, fault: 'tls' });
  expect(await send('other.example', TEST_CERTIFICATE)).toMatchObject({ status: null, fault: 'tls' });
  expect(await send('127.0.0.1', TEST_CERTIFICATE)).toMatchObject({ status: null, fault: 'tls' });
  expect(await send('receiver.example', TEST_CERTIFICATE)).toMatchObject({ status: 200, fault: null });
});
