import { beforeAll, describe, expect, test } from 'vitest';

import type { Answer } from '../support/calls.ts';
import '../support/problems.ts';
import { signPayload, useSharedService } from '../support/service.ts';

/*
 * No small request is expensive. Every call of the OpenAPI document gets the worst bodies, queries and headers that its
 * limits let in; the answer to each is small, and costs no more than a multiple of what parsing such a body costs here.
 */

const service = useSharedService();
let calls: Call[];

beforeAll(async () => {
  calls = callsOf((await service.call('GET', '/openapi.json')).body);
});

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  takesBody: boolean;
  /** Its answer does not end by itself. */
  isStream: boolean;
}

interface Operation {
  requestBody?: unknown;
  responses: { 200?: { content?: Record<string, unknown> } };
}

function callsOf({ paths }: { paths: Record<string, Record<string, Operation>> }): Call[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { requestBody, responses }]) => ({
      method: method.toUpperCase() as Call['method'],
      url: path.replaceAll(/\{\w+\}/g, '1'),
      takesBody: requestBody !== undefined,
      isStream: responses[200]?.content?.['text/event-stream'] !== undefined,
    })),
  );
}

const KIB = 1024;
/** One letter that no answer of ours repeats: whatever shows more than 64 of it has repeated the input. */
const LONG = 'x'.repeat(250 * KIB);
const REPEATED = /x{65}/;
const FIELDS = ['sku', 'name', 'price', 'stock', 'reason', 'status', 'customer_email', 'event_type', 'items'];

function listed(length: number, element: (index: number) => string): string {
  return Array.from({ length }, (_, index) => element(index)).join(',');
}

const BODIES: Record<string, string> = {
  '87,000 empty items': `{"items":[${listed(87_000, () => '{}')}]}`,
  'as many empty items as a body may have': `{"items":[${listed(4999, () => '{}')}]}`,
  'as many wrong items as a body may have': `{"items":[${listed(1666, () => '{"product_id":"1","gift":1}')}]}`,
  'the same product again and again': `{"items":[${listed(1666, () => '{"product_id":1,"quantity":0}')}]}`,
  '38,000 unknown fields': `{${listed(38_000, (i) => `"${i}":1`)}}`,
  'as many unknown fields as a body may have': `{${listed(5000, (i) => `"${i}${'x'.repeat(40)}":1`)}}`,
  'an unknown field with a long name': `{"${LONG}":1}`,
  'a long name twice': `{"${LONG.slice(0, 100 * KIB)}":1,"${LONG.slice(0, 100 * KIB)}":2}`,
  'long texts in every field': `{${FIELDS.map((name) => `"${name}":"${LONG.slice(0, 25 * KIB)}"`).join(',')}}`,
  'as many rounded numbers as a body may have': `{"items":[${listed(4999, () => '0.12345678901234567')}]}`,
  'one number of 250,000 digits': `{"price":${'1'.repeat(250_000)}}`,
  'a member of every kind that is no object': `[${listed(5000, () => 'null')}]`,
  'half of a long text': `{"name":"${LONG}`,
};

/** Node takes 16 KiB of request line and headers. */
const QUERY_BYTES = 15_500;
const QUERIES: Record<string, string> = {
  '3,000 parameters without a value': Array.from({ length: 3300 }, (_, i) => i).join('&'),
  'a long name': `${'x'.repeat(QUERY_BYTES)}=1`,
  'known names with long values': ['q', 'sku', 'cursor', 'customer_email', 'created_from', 'limit']
    .map((name) => `${name}=${'x'.repeat(2000)}`)
    .join('&'),
  'one name 2,000 times': Array.from({ length: 2000 }, () => 'limit=1').join('&'),
  'escapes that are no UTF-8': '%ff'.repeat(QUERY_BYTES / 3),
};

const HEADERS: Record<string, Record<string, string>> = {
  'a long key': { 'idempotency-key': 'x'.repeat(15_000) },
  'a long entity tag': { 'if-match': `"${'x'.repeat(15_000)}`, 'if-none-match': 'x'.repeat(500) },
  'a long content type': { 'content-type': `text/${'x'.repeat(15_000)}` },
  'a long content encoding': { 'content-encoding': 'x'.repeat(15_000) },
  'a long request id': { 'x-request-id': 'x'.repeat(15_000) },
};

/** Of refusals; what is not refused answers with what is stored. */
function faultsOf({ status, text, headers, body }: Answer): string[] {
  const faults: string[] = [];
  if (status < 400) return faults;
  if (status >= 500) faults.push(`${status}`);
  if (text.length > 64 * KIB) faults.push(`${text.length} bytes`);
  if ((body.errors ?? []).length > 100) faults.push(`${body.errors.length} errors`);
  if (REPEATED.test(`${text} ${JSON.stringify(headers)}`)) faults.push('repeats the input');
  return faults;
}

/** The processor's time, so that nothing else on the machine counts. */
async function cpuMs(run: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** @returns what is wrong with the answers, by call */
async function attack(
  send: (call: Call) => Promise<Answer>,
  only: (call: Call) => boolean = () => true,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const call of calls.filter(only)) {
    const found = faultsOf(await send(call));
    if (found.length > 0) wrong.push(`${call.method} ${call.url}: ${found.join(', ')}`);
  }
  return wrong;
}

function sendBody({ method, url }: Call, body: string): Promise<Answer> {
  const isWebhook = url.endsWith('/webhooks/payment');
  const sent = isWebhook ? body.slice(0, 64 * KIB) : body;
  return service.call(method, url, sent, isWebhook ? { 'x-webhook-signature': signPayload(sent) } : {});
}

describe('the answer is 64 KiB at most, with 100 faults and 64 characters of the input at most', () => {
  test.each(Object.entries(BODIES))('a body of %s', async (_what, body) => {
    expect(calls.filter(({ takesBody }) => takesBody).length).toBeGreaterThan(5);
    expect(
      await attack(
        (call) => sendBody(call, body),
        ({ takesBody }) => takesBody,
      ),
    ).toEqual([]);
  });

  test.each(Object.entries(QUERIES))('a query of %s', async (_what, query) => {
    const send = ({ method, url }: Call) => service.call(method, `${url}?${query}`);
    expect(await attack(send)).toEqual([]);
  });

  test.each(Object.entries(HEADERS))('a header of %s', async (_what, headers) => {
    expect(
      await attack(({ method, url, takesBody, isStream }) =>
        service.call(method, isStream ? `${url}?after=x` : url, takesBody ? '{}' : undefined, headers),
      ),
    ).toEqual([]);
  });

  test('a path of 15,000 characters, known or not', async () => {
    for (const path of ['/', '/products/', '/orders/', '/problems/', '/docs/', '/api/v1/']) {
      expect([path, faultsOf(await service.call('GET', `${path}${'x'.repeat(15_000)}`))]).toEqual([path, []]);
    }
  });
});

test('the worst body of a call costs at most 50 times what parsing 87,000 empty objects costs', async () => {
  const text = BODIES['87,000 empty items'] ?? '';
  const parsings = [];
  for (let i = 0; i < 5; i++) parsings.push(await cpuMs(() => JSON.parse(text) as unknown));
  const parsingMs = Math.min(...parsings);
  const dear: string[] = [];
  for (const call of calls.filter(({ takesBody }) => takesBody)) {
    for (const [what, body] of Object.entries(BODIES)) {
      const factor = (await cpuMs(() => sendBody(call, body))) / parsingMs;
      if (factor > 50) dear.push(`${call.method} ${call.url}, ${what}: ${Math.round(factor)} times`);
    }
  }
  expect(dear).toEqual([]);
});

test('100 faults are listed, and the first 10 are told in the detail', async () => {
  const body = BODIES['as many unknown fields as a body may have'];
  const { body: problem } = await service.call('POST', '/products', body);
  expect(problem.errors).toHaveLength(100);
  const told = problem.detail.split('; ');
  expect([told.length, told.at(-1)]).toEqual([11, '90 more in errors']);
});
