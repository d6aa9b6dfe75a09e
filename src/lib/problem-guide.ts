import type { ProblemCode } from './errors.ts';
import { outboundGuide } from './problem-guide-outbound.ts';

/** One kind of refusal, explained to callers. The OpenAPI document and the pages at /problems are made of it. */
export interface ProblemGuide {
  /** One or two sentences that say what happened. */
  means: string;
  /** One sentence that says how to go on. */
  remedy: string;
  /** The members that only this problem has, each with its meaning. */
  members?: Readonly<Record<string, string>>;
  /** An example of the members beside `type`, `title`, `status`, `code` and `request_id`. */
  example: Readonly<{ detail: string }> & Readonly<Record<string, unknown>>;
}

const NOT_THERE =
  'Check the id. Ids are numbers that the service made; a list of the same resource shows those that exist.';
const TAKEN_AS_IT_WAS = 'Nothing was changed.';

/** One entry a code of the closed table in errors.ts: the type refuses a code without one. */
export const problemGuide: Readonly<Record<ProblemCode, ProblemGuide>> = {
  malformed_request: {
    means:
      'The request is not valid HTTP, or its body is not the JSON that the call takes. Nothing of it was looked at.',
    remedy:
      'Send one JSON document in UTF-8, nested 32 levels deep at most, with each member once. Leave the body away where the call takes none.',
    example: { detail: 'The body is empty; send JSON' },
  },
  invalid_status_transition: {
    means: `The order cannot go from its present state to the one that was asked for. ${TAKEN_AS_IT_WAS}`,
    remedy:
      'Choose one of `allowed`, or read the order again: another call, a payment or its deadline may have moved it.',
    members: { allowed: 'The states that the order can be moved to now; empty when there is none' },
    example: { detail: 'Invalid status transition from SHIPPED to CANCELED', allowed: [] },
  },
  product_has_orders: {
    means: 'Orders name this product, so that it cannot be deleted: they would no longer say what was sold.',
    remedy:
      'Deactivate it instead: `PATCH /products/{id}` with `{"active": false}`. It can then no longer be ordered.',
    example: { detail: 'Orders name this product; deactivate it instead' },
  },
  missing_signature: {
    means: 'The webhook carries no signature, so that the service cannot know who sent it.',
    remedy:
      'Send `X-Webhook-Signature` with the HMAC-SHA256 of the raw body, or the three headers of Standard Webhooks. `npm run pay` does it for you.',
    example: { detail: 'Missing webhook signature' },
  },
  invalid_signature: {
    means:
      'The signature of the webhook does not belong to this body and to a secret that the service knows.',
    remedy:
      'Sign the bytes that are sent, not a copy that was parsed and written again, with the WEBHOOK_SECRET of this service.',
    example: { detail: 'Invalid webhook signature' },
  },
  stale_signature: {
    means:
      'The webhook is signed by its provider, but its timestamp is more than five minutes before or after the time of this service.',
    remedy:
      'Look at both clocks, and send the event again with a new timestamp and signature: providers do so by themselves.',
    example: { detail: 'Webhook timestamp is more than 5 minutes off' },
  },
  cross_site_request: {
    means:
      'A web page of another origin wants to change something. While the service has no keys, every page in the browser of its user could.',
    remedy:
      'Call the service from a page that it serves itself, or from a server, which sends neither `Origin` nor `Sec-Fetch-Site`.',
    example: { detail: 'A web page of another origin may not change anything here' },
  },
  not_found: {
    means: 'There is nothing at this path.',
    remedy:
      'Check the path; `/openapi.json` lists all that there are. A prefix other than `/api/v1` is not known.',
    example: { detail: 'There is nothing at GET /product' },
  },
  product_not_found: {
    means: `There is no product with this id. ${TAKEN_AS_IT_WAS}`,
    remedy: NOT_THERE,
    members: { product_id: 'Of an order with several items: the first that names no product' },
    example: { detail: 'Product not found', product_id: 2 },
  },
  provider_off: {
    means:
      'The service takes webhooks of this payment provider, but the secret that they are signed with is not set.',
    remedy:
      'Set the secret, STRIPE_WEBHOOK_SECRET for Stripe, restart the service, and let the provider send the event again.',
    example: { detail: 'Stripe is off: STRIPE_WEBHOOK_SECRET is not set' },
  },
  order_not_found: {
    means: `There is no order with this id. ${TAKEN_AS_IT_WAS}`,
    remedy: `${NOT_THERE} A payment event that came before its order is not used up: send it again later.`,
    example: { detail: 'Order not found' },
  },
  exception_not_found: {
    means: 'There is no payment exception with this id.',
    remedy: NOT_THERE,
    example: { detail: 'Payment exception not found' },
  },
  inbound_delivery_not_found: {
    means:
      'The inbox holds no inbound delivery with this id. Those that were refused or failed are kept for some days only.',
    remedy: 'Look for it with `GET /webhooks/inbox`, or let the provider send the event again.',
    example: { detail: 'Inbound delivery not found' },
  },
  method_not_allowed: {
    means: 'The path exists, but does not take this method.',
    remedy: 'Use one of the methods that the header `Allow` names.',
    example: { detail: 'This path takes GET, HEAD, POST' },
  },
  request_timeout: {
    means: 'The request did not arrive whole within ten seconds.',
    remedy:
      'Send it again on a new connection. A call that creates something is safe to repeat with an Idempotency-Key.',
    example: { detail: 'The request took too long to arrive' },
  },
  duplicate_sku: {
    means: `Another product has this SKU. ${TAKEN_AS_IT_WAS}`,
    remedy: 'Choose another SKU, or change the product that has it: `GET /products?sku=` finds it.',
    example: { detail: 'Product with this SKU already exists' },
  },
  product_inactive: {
    means: 'A product of the order is not active. Nothing was ordered and nothing reserved.',
    remedy: 'Leave the product out, or activate it: `PATCH /products/{id}` with `{"active": true}`.',
    members: { product_id: 'The first product of the order that is not active' },
    example: { detail: 'Product is not active', product_id: 1 },
  },
  insufficient_stock: {
    means:
      'There is less to sell than was asked for. An order is placed whole or not at all, so nothing was reserved.',
    remedy:
      'Ask for no more than `available` of each product in `shortages`, or try again when stock has come in.',
    members: {
      shortages:
        'Every product that falls short, with what can be sold of it and what was asked for; `detail` is about the first',
    },
    example: {
      detail: 'Insufficient stock. Available: 70, Requested: 200',
      shortages: [{ product_id: 1, available: 70, requested: 200 }],
    },
  },
  total_changed: {
    means:
      'The total of the order is not the expected_total of the request: a price has changed meanwhile. Nothing was ordered.',
    remedy: 'Show the buyer the new total, and send it as `expected_total` once the buyer agrees.',
    members: {
      expected_total: 'The total that the request expected',
      total: 'What the order would cost now',
    },
    example: {
      detail: 'The total is 64.98, not the expected 59.98',
      expected_total: 59.98,
      total: 64.98,
    },
  },
  idempotency_key_reused: {
    means: `This Idempotency-Key stands for another command that was carried out before. ${TAKEN_AS_IT_WAS}`,
    remedy:
      'Make a new key for each new command, and repeat a key only with the same path and the same body.',
    example: { detail: 'This Idempotency-Key was used for another command' },
  },
  idempotency_key_in_progress: {
    means:
      'The first call with this Idempotency-Key still runs, and has not ended within the time that a call waits.',
    remedy:
      'Send the same call again after `Retry-After` seconds: it is then answered with what the first one did.',
    example: { detail: 'The first call with this Idempotency-Key still runs' },
  },
  exception_already_resolved: {
    means: `The payment exception has been resolved already, perhaps by another person. ${TAKEN_AS_IT_WAS}`,
    remedy: 'Look at `current`, which says what was decided, when and by whom.',
    members: { current: 'The exception as it is' },
    example: {
      detail: 'The exception was resolved as refunded at 2026-01-02T08:00:00.000Z',
      current: { id: 1, status: 'RESOLVED', resolution: 'refunded', version: 2 },
    },
  },
  refund_exceeds_held: {
    means: `The shop holds less for the order than the refund that was to be recorded. ${TAKEN_AS_IT_WAS}`,
    remedy: 'Look at the order’s payments, and record what went back of them.',
    members: { held: 'What the shop holds for the order' },
    example: { detail: 'The shop holds 10.00 for the order, not 20.00', held: 10 },
  },
  inbound_delivery_not_failed: {
    means:
      'Only an inbound delivery that was signed and had no effect can be replayed. This one had an effect, or was never genuine.',
    remedy: 'Read its `outcome`. A payment that was applied is applied once only, and needs no replay.',
    example: { detail: 'Only an inbound delivery that failed can be replayed; this one is processed' },
  },
  events_expired: {
    means:
      'Retention has deleted events behind this cursor (EVENT_RETENTION_DAYS), so that the feed cannot lead on without a gap.',
    remedy:
      'Read the current state (`GET /products`, `GET /orders`), then follow the feed from its beginning: leave `after` out.',
    example: {
      detail: 'Events behind this cursor are deleted. Read the current state, then go on without a cursor',
    },
  },
  version_mismatch: {
    means: `The resource has changed since the version that If-Match names. ${TAKEN_AS_IT_WAS}`,
    remedy:
      'Look at `current`, decide again, and send the change with the `ETag` of this answer as If-Match.',
    members: { current: 'The resource as it is now; the answer has its ETag, too' },
    example: { detail: 'The current version is 3', current: { id: 1, version: 3 } },
  },
  payload_too_large: {
    means: 'The body is larger than the call takes: 256 KiB, and 64 KiB for a webhook.',
    remedy: 'Send less at once.',
    example: { detail: 'The body is larger than this call takes' },
  },
  unsupported_media_type: {
    means: 'The body is not declared as JSON, or it is compressed.',
    remedy:
      'Send `Content-Type: application/json` and no Content-Encoding. `curl -d` needs `-H "Content-Type: application/json"`.',
    example: {
      detail:
        'Send JSON with the header Content-Type: application/json, not application/x-www-form-urlencoded',
    },
  },
  expectation_failed: {
    means: 'The header `Expect` asks for something that this service does not know.',
    remedy: 'Leave the header away, or send `Expect: 100-continue`.',
    example: { detail: 'The only expectation that this service meets is 100-continue' },
  },
  misdirected_request: {
    means:
      'The service does not answer under the name in `Host`. While it has no keys, another name could be a web page that has made its own name point here.',
    remedy:
      'Call it as localhost, or name the host in the setting ALLOWED_HOSTS, without a port, for example the name of a tunnel.',
    example: { detail: 'This service does not answer for shop.test; ALLOWED_HOSTS adds names' },
  },
  validation_failed: {
    means: 'One or more values are not acceptable. Nothing is converted, rounded or left out in silence.',
    remedy:
      'Mend every fault in `errors`; they are all there is to mend, unless there are 100. `fix` says what would be right.',
    members: {
      errors:
        'Every fault, up to 100: where it is (`body`, `query`, `path` or `header`, then the names of the members), what is wrong with it, and what would be right',
    },
    example: {
      detail: 'body/quantity must be >= 1',
      errors: [
        { path: 'body/quantity', message: 'must be >= 1', fix: 'Send an integer from 1 to 1000000000.' },
      ],
    },
  },
  stock_out_of_range: {
    means: `More than 1,000,000,000 pieces of the product would be on hand, those that orders hold among them. ${TAKEN_AS_IT_WAS}`,
    remedy: 'Add fewer pieces, or set a smaller stock.',
    example: {
      detail: '1000000050 would be on hand, of which orders hold 60; 1000000000 may be at most',
    },
  },
  total_out_of_range: {
    means:
      'The total of the order is above 9,999,999,999.99, the largest amount that the service holds. Nothing was ordered.',
    remedy: 'Divide the order into several.',
    example: { detail: 'The total of the order is above 9999999999.99' },
  },
  headers_too_large: {
    means: 'The first line and the headers of the request have more than 16 KB together.',
    remedy: 'Send less in the query and the headers, on a new connection: this one is closed.',
    example: { detail: 'The headers are too large' },
  },
  internal_error: {
    means:
      'The service has a fault. The change was rolled back; the log of the service says more under the id of the request.',
    remedy: 'Report it with `request_id`. A call with an Idempotency-Key can be sent again.',
    example: { detail: 'Something went wrong on our side' },
  },
  not_implemented: {
    means:
      'The request asks for a part of HTTP that this service does not have: a proxy (CONNECT), or a coding of the body in transfer.',
    remedy: 'Send the body with its length, or with `Transfer-Encoding: chunked` alone.',
    example: { detail: 'The only transfer coding that this service reads is chunked' },
  },
  service_unavailable: {
    means: 'The database is away or busy, or the service is stopping.',
    remedy:
      'Send the call again after `Retry-After` seconds. With an Idempotency-Key that is safe, also where it is not known whether the first one was stored.',
    example: { detail: 'The database is busy, try again' },
  },
  ...outboundGuide,
};
