import { beforeAll, describe, expect, test } from 'vitest';

import { useSharedService } from '../support/service.ts';
import { exchange, listen, type RawAnswer, send } from '../support/sockets.ts';

const service = useSharedService();
let port: number;

beforeAll(async () => {
  port = await listen(service);
});

const LAST = 'connection: close\r\n';
const HOST = 'host: localhost\r\n';

/** Sends one request and expects one problem document. */
async function refusalOf(text: string) {
  const answers = await exchange(port, text);
  expect(answers).toHaveLength(1);
  return problemOf(answers[0]);
}

function problemOf(answer: RawAnswer | undefined) {
  const body = JSON.parse(answer?.body ?? '{}');
  expect(answer?.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(body).toMatchObject({ status: answer?.status, type: `/problems/${body.code}` });
  expect(body.request_id).toBe(answer?.headers['x-request-id']);
  return { status: body.status, code: body.code, detail: body.detail, headers: answer?.headers ?? {} };
}

async function counted(pattern: RegExp): Promise<number> {
  const { text } = await service.call('GET', '/metrics');
  return Number(pattern.exec(text)?.[1] ?? 0);
}

describe('a header that has one value is refused with 400 when it is repeated', () => {
  const single = {
    host: ['localhost', 'localhost'],
    'content-type': ['application/json', 'text/plain'],
    'idempotency-key': ['a', 'b'],
    authorization: ['Bearer a', 'Bearer b'],
    'x-api-key': ['a', 'a'],
    'x-webhook-signature': ['sha256=0', 'sha256=1'],
    'webhook-id': ['a', 'b'],
    'webhook-timestamp': ['1', '2'],
    'webhook-signature': ['v1,a', 'v1,b'],
    origin: ['http://localhost', 'http://localhost'],
  };
  test.each(Object.entries(single))('%s: %j', async (name, [first, second]) => {
    const lines = `${name === 'host' ? '' : HOST}${name}: ${first}\r\n${name.toUpperCase()}: ${second}\r\n`;
    const { status, code, detail } = await refusalOf(`GET /health HTTP/1.1\r\n${lines}${LAST}\r\n`);
    expect([status, code]).toEqual([400, 'malformed_request']);
    expect(detail).toContain(name);
  });

  test('two lengths: 400 from the parser', async () => {
    const text = `POST /orders HTTP/1.1\r\n${HOST}content-length: 2\r\ncontent-length: 2\r\n\r\n{}`;
    expect(await refusalOf(text)).toMatchObject({ status: 400, code: 'malformed_request' });
  });

  test('lists may be repeated, and so may what nobody reads', async () => {
    const lines =
      'if-none-match: "1"\r\nif-none-match: "2"\r\nx-a: 1\r\nx-a: 2\r\naccept: a/b\r\naccept: c/d\r\n';
    const [answer] = await exchange(port, `GET /health HTTP/1.1\r\n${HOST}${lines}${LAST}\r\n`);
    expect(answer?.status).toBe(200);
  });

  test('an order under two keys is not placed', async () => {
    const { id } = await service.createProduct();
    const body = JSON.stringify({ product_id: id, quantity: 1 });
    const keys = 'idempotency-key: a\r\nidempotency-key: b\r\ncontent-type: application/json\r\n';
    await refusalOf(
      `POST /orders HTTP/1.1\r\n${HOST}${keys}${LAST}content-length: ${body.length}\r\n\r\n${body}`,
    );
    expect((await service.call('GET', `/products/${id}`)).body.stock).toBe(100);
  });
});

describe('Host', () => {
  test('HTTP/1.1 without it: 400, with a problem document, counted like any request', async () => {
    const series = /http_request_duration_seconds_count\{[^}]*route="\/health",status="400"[^}]*\} (\d+)/;
    const before = await counted(series);
    const { status, detail } = await refusalOf(`GET /health HTTP/1.1\r\n${LAST}\r\n`);
    expect([status, detail]).toEqual([400, 'A request of HTTP/1.1 must have a Host header']);
    expect(await counted(series)).toBe(before + 1);
  });

  test('HTTP/1.0 without it: 200', async () => {
    const [answer] = await exchange(port, 'GET /health HTTP/1.0\r\n\r\n');
    expect(answer?.status).toBe(200);
  });

  test.each(['a b', 'localhost/x', 'localhost:80:80', 'localhost:x', 'a,b', 'user@localhost', '::1'])(
    '%j: 400',
    async (host) => {
      const { status } = await refusalOf(`GET /health HTTP/1.1\r\nhost: ${host}\r\n${LAST}\r\n`);
      expect(status).toBe(400);
    },
  );
});

describe('transfer codings', () => {
  test.each(['gzip, chunked', 'x, chunked'])('%s: 501', async (coding) => {
    const text = `POST /orders HTTP/1.1\r\n${HOST}transfer-encoding: ${coding}\r\ncontent-type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n`;
    const { status, code, headers } = await refusalOf(text);
    expect([status, code, headers['connection']]).toEqual([501, 'not_implemented', 'close']);
  });

  test.each(['chunked', 'Chunked'])('%s is read', async (coding) => {
    const text = `POST /orders HTTP/1.1\r\n${HOST}${LAST}transfer-encoding: ${coding}\r\ncontent-type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n`;
    expect(await refusalOf(text)).toMatchObject({ status: 422 });
  });
});

/** The head of a request that waits with its body. */
const head = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\n${HOST}${LAST}expect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;

describe('Expect', () => {
  test('100-continue: the body is asked for, and read', async () => {
    const { socket, closed, received } = await send(port, head('/orders', 2));
    await expect.poll(received, { interval: 5 }).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('{}');
    await closed;
    expect(received()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 422 /);
  });

  test.each([
    ['/orders', 10_000_000, 413],
    ['/webhooks/payment', 65_537, 413],
    ['/health', 2, 405],
    ['/nope', 2, 404],
  ])('POST %s, %i bytes: %i at once, without a 100', async (path, length, expected) => {
    const { status, headers } = await refusalOf(head(path, length));
    expect([status, headers['connection']]).toEqual([expected, 'close']);
  });

  test('anything else: 417', async () => {
    const text = `GET /health HTTP/1.1\r\n${HOST}expect: wonders\r\n\r\n`;
    expect(await refusalOf(text)).toMatchObject({ status: 417, code: 'expectation_failed' });
  });
});

describe('what is no readable request', () => {
  test.each([
    ['an unknown method', 'FOO /x HTTP/1.1\r\nhost: localhost\r\n\r\n', 400],
    ['headers of 20 KB', `GET / HTTP/1.1\r\n${HOST}x: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    ['CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n', 501],
  ])('%s: one problem document, counted, and the end', async (_what, text, expected) => {
    const series = new RegExp(`^http_unreadable_requests_total\\{status="${expected}"\\} (\\d+)`, 'm');
    const before = await counted(series);
    const { status, headers } = await refusalOf(text);
    expect([status, headers['connection']]).toEqual([expected, 'close']);
    expect(await counted(series)).toBe(before + 1);
  });

  test('garbage behind a request that is running: that one is answered first, then the garbage with one 400', async () => {
    const { id } = await service.createProduct();
    const body = JSON.stringify({ product_id: id, quantity: 1 });
    const order = `POST /orders HTTP/1.1\r\n${HOST}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const { socket, closed, received } = await send(port, `${order}${order}\0garbage\r\n\r\n`);
    socket.write('more garbage\r\n\r\n');
    await closed;
    expect(received().match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 201', 'HTTP/1.1 400']);
  });

  test('a body that breaks off in garbage is refused at once, not at its deadline', async () => {
    const text = `POST /orders HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n`;
    expect(await refusalOf(text)).toMatchObject({ status: 400 });
  });
});

const OTHER_METHODS = 'PROPFIND PURGE LOCK SEARCH REPORT MKCOL COPY LINK QUERY M-SEARCH'.split(' ');

test.each(OTHER_METHODS)('%s on a path that is known: 405 with Allow; on another: 404', async (method) => {
  const at = (path: string) => refusalOf(`${method} ${path} HTTP/1.1\r\n${HOST}${LAST}\r\n`);
  for (const path of ['/products', '//api/v1/products/', '/%70roducts?x=1', 'HTTP://localhost/products']) {
    const { status, code, headers } = await at(path);
    expect([status, code, headers['allow']]).toEqual([405, 'method_not_allowed', 'GET, HEAD, POST']);
  }
  expect(await at('/nope')).toMatchObject({ status: 404, code: 'not_found' });
});

test('a target of another scheme is nothing', async () => {
  const text = `GET ftp://localhost/products HTTP/1.1\r\n${HOST}${LAST}\r\n`;
  expect(await refusalOf(text)).toMatchObject({ status: 404, code: 'not_found' });
});

test('OPTIONS *: 204 with every method', async () => {
  const [answer] = await exchange(port, `OPTIONS * HTTP/1.1\r\n${HOST}${LAST}\r\n`);
  expect([answer?.status, answer?.headers['allow']]).toEqual([204, 'DELETE, GET, HEAD, PATCH, POST, PUT']);
});

test('HEAD with a version that is known: 304 without a length, as GET', async () => {
  const { id } = await service.createProduct();
  for (const method of ['GET', 'HEAD']) {
    const text = `${method} /products/${id} HTTP/1.1\r\n${HOST}if-none-match: "1"\r\n${LAST}\r\n`;
    const [answer] = await exchange(port, text);
    expect(answer?.status).toBe(304);
    expect(answer?.headers).not.toHaveProperty('content-length');
    expect(answer?.headers['etag']).toBe('"1"');
  }
});
