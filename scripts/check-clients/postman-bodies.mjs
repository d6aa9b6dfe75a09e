/*
 * Sends every body that openapi-to-postmanv2 makes of the document, as Postman's import would, to the service. A refusal
 * for what the shop holds is fine (a SKU that is taken, an order that is paid already); one for the form of the body is not.
 */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import converter from 'openapi-to-postmanv2';

const { BASE_URL, WEBHOOK_SECRET = 'webhook-secret-key' } = process.env;
const WRONG_FORM = new Set(['malformed_request', 'unsupported_media_type', 'validation_failed']);

const document = await readFile(new URL('generated/openapi.json', import.meta.url), 'utf8');
const collection = await new Promise((resolve, reject) => {
  converter.convertV2(
    { type: 'string', data: document },
    { parametersResolution: 'Example' },
    (error, result) => {
      if (error !== null) reject(error);
      else if (!result.result) reject(new Error(result.reason));
      else resolve(result.output[0].data);
    },
  );
});

function requestsOf(items) {
  return items.flatMap(({ item, request }) => (item === undefined ? [request] : requestsOf(item)));
}

function pathOf({ path, variable = [] }) {
  const values = new Map(variable.map(({ key, value }) => [`:${key}`, value]));
  return path.map((part) => values.get(part) ?? part).join('/');
}

const requests = requestsOf(collection.item).filter(({ body }) => body?.mode === 'raw');
if (requests.length < 6) throw new Error(`Postman's import has only ${requests.length} bodies`);
const refused = [];
for (const { method, url, body } of requests) {
  const signature = `sha256=${createHmac('sha256', WEBHOOK_SECRET).update(body.raw).digest('hex')}`;
  const headers = { 'content-type': 'application/json', 'x-webhook-signature': signature };
  const path = pathOf(url);
  const answer = await fetch(`${BASE_URL}/${path}`, { method, headers, body: body.raw });
  const problem = answer.ok ? undefined : await answer.json();
  if (answer.status >= 500 || WRONG_FORM.has(problem?.code)) {
    refused.push(`${method} /${path} ${answer.status} ${problem?.detail}\n  ${body.raw}`);
  }
}
if (refused.length > 0)
  throw new Error(`the service refuses bodies of Postman's import:\n${refused.join('\n')}`);
process.stdout.write(`${requests.length} bodies\n`);
