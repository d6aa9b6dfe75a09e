/*
 * What Swagger UI calls on /docs. Addresses are taken from where this script came from, so that they hold behind a proxy
 * that strips a prefix.
 */
const documentUrl = new URL('../../../openapi.json', document.currentScript.src);

/** The document with whole addresses: Swagger UI would take them relative to the one that it asked for, /docs/json. */
function readDocument(response) {
  if (!response.ok || response.url !== documentUrl.href) return response;
  const spec = JSON.parse(response.text);
  for (const server of spec.servers) server.url = new URL(server.url, documentUrl).href;
  unfillOptionalFields(spec);
  response.text = JSON.stringify(spec);
  return response;
}

/** A value that stands in a field is sent. So the examples of what may be left out are shown beside it instead. */
function unfillOptionalFields(spec) {
  const operations = Object.values(spec.paths).flatMap((methods) => Object.values(methods));
  for (const parameter of operations.flatMap(({ parameters = [] }) => parameters)) {
    if (parameter.required || parameter.example === undefined) continue;
    parameter.description = [parameter.description, `Example: \`${parameter.example}\``]
      .filter(Boolean)
      .join('. ');
    delete parameter.example;
  }
}

/** Signs the webhook call with the secret that the reader has typed; it leaves the browser in no other way. */
async function signWebhook(request) {
  const secret = document.querySelector('#webhook-secret')?.value ?? '';
  const isWebhook =
    request.method === 'POST' && new URL(request.url, documentUrl).pathname.endsWith('/webhooks/payment');
  if (!isWebhook || secret === '') return request;
  const body = typeof request.body === 'string' ? request.body : JSON.stringify(request.body ?? '');
  const encoder = new TextEncoder();
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign']);
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(body)));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  request.body = body;
  request.headers['X-Webhook-Signature'] = `sha256=${hex}`;
  return request;
}

const signing = document.querySelector('#signing');
if (signing !== null && crypto.subtle === undefined) {
  // Browsers have it on https and on localhost only.
  signing.querySelector('input').disabled = true;
  signing.querySelector('small').textContent = 'This browser signs over https and on localhost only.';
}
// Enter would load the page anew, with the secret in its address.
signing?.addEventListener('submit', (event) => event.preventDefault());

// Where the options of Swagger UI, which come in another script, find them.
Object.assign(globalThis, { readDocument, signWebhook });
