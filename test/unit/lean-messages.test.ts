import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerOptions } from 'node:http';
import { type AddressInfo, connect, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { afterEach, describe, expect, test, vi } from 'vitest';

import { LeanRequest, LeanResponse } from '../../src/http/lean-messages.ts';

const LEAN = { IncomingMessage: LeanRequest, ServerResponse: LeanResponse };
const NODES_OWN = {};

const opened: { close: () => void }[] = [];

afterEach(() => {
  for (const server of opened.splice(0)) server.close();
  vi.restoreAllMocks();
});

async function listen(options: ServerOptions, listener: RequestListener): Promise<number> {
  const server = createServer(options, listener).listen(0, '127.0.0.1');
  opened.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** All bytes that come back on one connection, until the server closes it. */
async function answerTo(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  return readToEnd(socket);
}

/** Byte by byte, but for the time. */
async function readToEnd(socket: Socket): Promise<string> {
  return (await buffer(socket)).toString('latin1').replaceAll(/Date: [^\r]*/g, 'Date: now');
}

const get = (url: string, version = '1.1') => `GET ${url} HTTP/${version}\r\nHost: test\r\n\r\n`;
/** Its answer ends the connection. */
const lastGet = (url: string) => `GET ${url} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`;

const post = (url: string, body: string) =>
  `POST ${url} HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Answers with a length, as Fastify does. */
function withLength(status: number, body: string): RequestListener {
  const headers = { 'content-type': 'text/plain', 'content-length': String(Buffer.byteLength(body)) };
  return (_request, response) => void response.writeHead(status, headers).end(body, null as never);
}

const LONG = 'x'.repeat(1_000_000);
/** More than a request takes from its connection before anybody reads it. */
const UNREAD = 'x'.repeat(300_000);

const answers: Record<string, RequestListener> = {
  '/short': withLength(200, 'short'),
  '/text': withLength(200, 'Grüße, 世界 🙂'),
  '/long': withLength(200, LONG),
  '/empty': withLength(200, ''),
  '/none': (_request, response) => response.writeHead(204).end(),
  '/unchanged': (_request, response) => response.writeHead(304, { etag: '"1"' }).end('not sent'),
  '/implicit': (_request, response) => response.end('no headers of its own'),
  '/latin1': (_request, response) => response.writeHead(200, { 'content-length': 2 }).end('äö', 'latin1'),
  '/bytes': (_request, response) =>
    response.writeHead(200, { 'content-length': 2 }).end(Buffer.from([0, 255])),
  '/chunked': (_request, response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }).end('one'),
  '/parts': (_request, response) => {
    response.writeHead(200, { 'content-length': 6 }).write('one');
    response.end('two');
  },
  '/later': (request, response) =>
    void setImmediate(() => withLength(200, request.url ?? '')(request, response)),
  '/read': (request, response) =>
    void buffer(request).then((body) => withLength(200, String(body))(request, response)),
};

const listener: RequestListener = (request, response) => answers[request.url ?? '']?.(request, response);

describe('what is sent, byte by byte as Node itself sends it', () => {
  test.each([
    ...Object.keys(answers).map((url) => [`GET ${url}`, lastGet(url)]),
    ...Object.keys(answers).map((url) => [`HEAD ${url}`, lastGet(url).replace('GET', 'HEAD')]),
    ['three at once', get('/short') + get('/text') + lastGet('/none')],
    ['three at once, the first one late', get('/later') + get('/short') + lastGet('/text')],
    ['long ones at once', get('/long') + get('/long') + lastGet('/later')],
    ['HTTP/1.0', get('/short', '1.0')],
    ['a body that is read', post('/read', 'body') + lastGet('/short')],
    ['a body that is not read', post('/short', 'body') + lastGet('/text')],
    ['an empty body', post('/short', '') + lastGet('/text')],
    [
      'chunks that are not read',
      `POST /short HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n${lastGet('/text')}`,
    ],
  ])('%s', async (_name, request) => {
    const [lean, own] = [await listen(LEAN, listener), await listen(NODES_OWN, listener)];
    const expected = await answerTo(own, request);
    expect(expected).toMatch(/^HTTP\/1\.1 \d{3} /);
    expect(await answerTo(lean, request)).toBe(expected);
  });

  test.each([
    ['the rest of a body that was answered before', '/short', 'bo', 'dy'],
    ['a long body that was answered before', '/short', '', UNREAD],
    ['a long body that had come, and that nobody read', '/later', UNREAD, ''],
  ])('the next request behind %s', async (_name, url, first, rest) => {
    const [lean, own] = await Promise.all(
      [LEAN, NODES_OWN].map(async (options) => {
        const socket = connect(await listen(options, listener), '127.0.0.1');
        socket.write(post(url, first + rest).slice(0, -rest.length || undefined));
        await once(socket, 'readable');
        socket.write(rest + lastGet('/text'));
        return readToEnd(socket);
      }),
    );
    expect(own?.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    expect(lean).toBe(own);
  });
});

describe('how it is sent', () => {
  test.each(['/short', '/text', '/long'])('the answer of %s is one string, not a list', async (url) => {
    const port = await listen(LEAN, listener);
    const lists = vi.spyOn(Socket.prototype as unknown as { _writev: () => void }, '_writev');
    await answerTo(port, lastGet(url));
    expect(lists).not.toHaveBeenCalled();
    await answerTo(await listen(NODES_OWN, listener), lastGet(url));
    expect(lists).toHaveBeenCalledOnce();
  });

  test.each(['/short', '/long', '/none', '/bytes', '/chunked'])(
    'the end of %s is told once: to its callback, as finish and as close',
    async (url) => {
      const told: string[] = [];
      const port = await listen(LEAN, (request, response) => {
        const end = response.end.bind(response) as (...args: unknown[]) => typeof response;
        response.end = (chunk?: unknown, encoding?: unknown) =>
          end(chunk, encoding, () => told.push('callback'));
        for (const event of ['finish', 'close']) response.on(event, () => told.push(event));
        listener(request, response);
      });
      await answerTo(port, lastGet(url));
      expect(told.toSorted()).toEqual(['callback', 'close', 'finish']);
    },
  );

  test('nothing is sent twice, and nothing after the end', async () => {
    const port = await listen(LEAN, (request, response) => {
      answers['/short']?.(request, response);
      response.end('again');
      response.on('error', () => undefined);
    });
    expect(await answerTo(port, lastGet('/'))).toMatch(/\r\n\r\nshort$/);
  });

  test('to a connection that is gone, nothing is sent and nothing is thrown', async () => {
    let ended: boolean | undefined;
    const port = await listen(LEAN, (request, response) => {
      request.socket.destroy();
      withLength(200, 'too late')(request, response);
      ended = response.writableEnded;
    });
    expect(await answerTo(port, get('/'))).toBe('');
    expect(ended).toBe(true);
  });
});

describe('the end of a request', () => {
  test.each(['end', 'close'])('is told to whoever listens for "%s"', async (event) => {
    let told = 0;
    const port = await listen(LEAN, (request, response) => {
      request.on(event, () => (told += 1));
      listener(request, response);
    });
    await answerTo(port, lastGet('/short'));
    expect(told).toBe(1);
  });

  test.each([
    ['left out when nobody listens', lastGet('/short'), false],
    ['reached for a body that nobody reads', post('/later', 'body') + lastGet('/short'), true],
  ])('is %s', async (_name, sent, isReached) => {
    const requests: IncomingMessage[] = [];
    const port = await listen(LEAN, (request, response) => {
      requests.push(request);
      listener(request, response);
    });
    await answerTo(port, sent);
    expect(requests[0]).toMatchObject({ complete: true, readableEnded: isReached, destroyed: isReached });
  });
});
