import { shorten } from './shorten.ts';

/**
 * The closed table of refusals: code → status and title. Services throw `AppError` with one of
 * these codes; `http/problem.ts` renders it, and `GET /problems/{code}` explains it.
 */
export const problems = {
  malformed_request: { status: 400, title: 'Malformed request' },
  invalid_status_transition: { status: 400, title: 'Invalid status transition' },
  product_has_orders: { status: 400, title: 'Product is named by orders' },
  missing_signature: { status: 401, title: 'Missing webhook signature' },
  invalid_signature: { status: 403, title: 'Invalid webhook signature' },
  stale_signature: { status: 403, title: 'Stale webhook signature' },
  cross_site_request: { status: 403, title: 'Cross-site request refused' },
  not_found: { status: 404, title: 'Not found' },
  product_not_found: { status: 404, title: 'Product not found' },
  provider_off: { status: 404, title: 'Payment provider is off' },
  order_not_found: { status: 404, title: 'Order not found' },
  exception_not_found: { status: 404, title: 'Payment exception not found' },
  endpoint_not_found: { status: 404, title: 'Webhook endpoint not found' },
  delivery_not_found: { status: 404, title: 'Webhook delivery not found' },
  resend_not_found: { status: 404, title: 'Resend not found' },
  inbound_delivery_not_found: { status: 404, title: 'Inbound delivery not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  request_timeout: { status: 408, title: 'Request timeout' },
  duplicate_sku: { status: 409, title: 'SKU already taken' },
  product_inactive: { status: 409, title: 'Product is not active' },
  insufficient_stock: { status: 409, title: 'Insufficient stock' },
  total_changed: { status: 409, title: 'Total changed' },
  idempotency_key_reused: { status: 409, title: 'Idempotency key reused for another command' },
  idempotency_key_in_progress: { status: 409, title: 'Idempotency key in progress' },
  exception_already_resolved: { status: 409, title: 'Payment exception already resolved' },
  delivery_pending: { status: 409, title: 'Webhook delivery is pending' },
  endpoint_limit_reached: { status: 409, title: 'Too many webhook endpoints' },
  secrets_key_missing: { status: 409, title: 'No key for secrets' },
  refund_exceeds_held: { status: 409, title: 'Refund exceeds what is held' },
  inbound_delivery_not_failed: { status: 409, title: 'Inbound delivery has not failed' },
  events_expired: { status: 410, title: 'Events expired' },
  version_mismatch: { status: 412, title: 'Precondition failed' },
  payload_too_large: { status: 413, title: 'Payload too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  expectation_failed: { status: 417, title: 'Expectation failed' },
  misdirected_request: { status: 421, title: 'Misdirected request' },
  validation_failed: { status: 422, title: 'Validation failed' },
  stock_out_of_range: { status: 422, title: 'Stock out of range' },
  total_out_of_range: { status: 422, title: 'Order total out of range' },
  too_many_pings: { status: 429, title: 'Too many pings' },
  headers_too_large: { status: 431, title: 'Headers too large' },
  internal_error: { status: 500, title: 'Internal server error' },
  not_implemented: { status: 501, title: 'Not implemented' },
  service_unavailable: { status: 503, title: 'Service unavailable' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof problems;

export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problems, code);
}

export interface AppErrorExtras {
  /** Members added to the problem document, in snake_case. */
  fields?: Record<string, unknown>;
  /** Response headers that belong to this refusal (Retry-After, Allow, ETag). */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** A refusal that the caller is meant to read: `detail` goes out as it is, so it never holds internals. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ProblemCode;
  readonly status: number;
  readonly fields: Record<string, unknown>;
  readonly headers: Record<string, string>;

  constructor(code: ProblemCode, detail: string, extras: AppErrorExtras = {}) {
    super(detail, { cause: extras.cause });
    this.code = code;
    this.status = problems[code].status;
    this.fields = extras.fields ?? {};
    this.headers = extras.headers ?? {};
  }
}

/** One fault of the input; `path` is `part/field/…`, with part one of body, query, path and header. */
export interface InputFault {
  path: string;
  message: string;
  /** One sentence that says how to correct the input. */
  fix: string;
}

/** An answer lists no more faults than this: a small request must not make a large answer. */
export const FAULTS_MAX = 100;
/** Longer than this, a person does not read the sentence. */
const FAULTS_IN_DETAIL = 10;

/** 422 that lists every fault, up to FAULTS_MAX. */
export function validationFailed(found: readonly InputFault[]): AppError {
  const faults = found.slice(0, FAULTS_MAX).map((fault) => ({ ...fault, path: shorten(fault.path) }));
  const told = faults.slice(0, FAULTS_IN_DETAIL).map(({ path, message }) => `${path} ${message}`);
  const others = faults.length - told.length;
  if (others > 0) told.push(`${others} more in errors`);
  return new AppError('validation_failed', told.join('; '), { fields: { errors: faults } });
}

/** 503, with the time after which to try again. */
export function unavailable(detail: string, cause?: unknown, retryAfterSeconds = 1): AppError {
  return new AppError('service_unavailable', detail, {
    headers: { 'retry-after': String(retryAfterSeconds) },
    cause,
  });
}
