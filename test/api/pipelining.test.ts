import { beforeAll, expect, test } from 'vitest';

import { useSharedService } from '../support/service.ts';
import { exchange, listen, send } from '../support/sockets.ts';

const service = useSharedService({ limits: { sharedAnswerMs: 0 } });
let port: number;

beforeAll(async () => {
  port = await listen(service);
});

const HOST = 'host: localhost\r\n';
const LAST = 'connection: close\r\n';
const HEALTH = `GET /health HTTP/1.1\r\n${HOST}\r\n`;

function postProduct(sku: string, headers = ''): string {
  const body = JSON.stringify({ sku, name: sku, price: 1, stock: 1 });
  return `POST /products HTTP/1.1\r\n${HOST}content-type: application/json\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;
}

const list = (sku: string, headers = '') => `GET /products?sku=${sku} HTTP/1.1\r\n${HOST}${headers}\r\n`;

async function countDropped(): Promise<number> {
  const { text } = await service.call('GET', '/metrics');
  return Number(/^http_connections_dropped_total (\d+)/m.exec(text)?.[1]);
}

test('requests of one connection are served one after the other: each read finds what the write before it made', async () => {
  const skus = Array.from({ length: 10 }, (_, i) => `TURN-${i}`);
  const text = skus.map((sku) => postProduct(sku) + list(sku)).join('') + list('NONE', LAST);
  const answers = await exchange(port, text);
  expect(answers.map(({ status }) => status)).toEqual([...skus.flatMap(() => [201, 200]), 200]);
  const found = answers.filter((_, i) => i % 2 === 1).map(({ body }) => JSON.parse(body)[0]?.sku);
  expect(found).toEqual(skus);
});

test('what stands behind a request that ends its connection is not begun', async () => {
  const answers = await exchange(port, `GET /health HTTP/1.1\r\n${HOST}${HOST}\r\n${postProduct('BEHIND')}`);
  expect(answers.map(({ status }) => status)).toEqual([400]);
  const { body } = await service.call('GET', '/products?sku=BEHIND');
  expect(body).toEqual([]);
});

test('100 requests may be sent ahead of an answer; with one more, the connection is cut, and counted', async () => {
  const before = await countDropped();
  const answers = await exchange(port, list('NONE') + HEALTH.repeat(99) + list('NONE', LAST));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(101);
  expect(await countDropped()).toBe(before);
  const { closed, received } = await send(port, list('NONE') + HEALTH.repeat(150));
  await closed;
  expect(received()).toBe('');
  expect(await countDropped()).toBe(before + 1);
});

test('a refusal that ends the connection is its only answer, whatever the parser thinks of the rest', async () => {
  const text = `POST /products HTTP/1.1\r\n${HOST}content-type: application/json\r\ntransfer-encoding: identity\r\n\r\n{}`;
  const answers = await exchange(port, text);
  expect(answers.map(({ status }) => status)).toEqual([501]);
});
