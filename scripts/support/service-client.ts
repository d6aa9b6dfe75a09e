import { ScriptFailure } from './arguments.ts';

/** A little more than the service's own 8 s for a request, so that its answer comes first. */
const ANSWER_TIMEOUT_MS = 10_000;

export type OrderStatus = 'PENDING' | 'PAID' | 'SHIPPED' | 'CANCELED';

/** The fields of a product that the scripts use. */
export interface Product {
  id: number;
  sku: string;
  name: string;
  price: number;
  stock: number;
  reserved: number;
  active: boolean;
}

/** The fields of an order that the scripts use. */
export interface Order {
  id: number;
  status: OrderStatus;
  items: { product_id: number; sku: string; quantity: number }[];
  total: number;
  /** Absent from services that know one currency only. */
  currency?: string;
  customer_email: string | null;
}

/** An answer together with its request, so that an error message can show both. */
export interface Answer<T = unknown> {
  request: { method: string; url: string; body: string | undefined };
  status: number;
  headers: Headers;
  text: string;
  /** The parsed JSON, or undefined for anything else. Only trust it as T once the status is the one of a T. */
  body: T;
  durationMs: number;
}

/** The service is not there, or does not answer as it should: told as it is, without a stack. */
export class ServiceFailure extends ScriptFailure {
  override readonly name: string = 'ServiceFailure';
}

export class NoAnswer extends ServiceFailure {
  override readonly name = 'NoAnswer';
}

export class UnexpectedAnswer extends ServiceFailure {
  override readonly name = 'UnexpectedAnswer';

  constructor(expectation: string, answer: Answer) {
    super(`${expectation}\n${describeExchange(answer)}`);
  }
}

export interface CallOptions {
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
  /** True for calls of a payment provider, which has the webhook secret and no API key. */
  withoutApiKey?: boolean;
}

export type ServiceClient = ReturnType<typeof createServiceClient>;

export function createServiceClient({ baseUrl, apiKey }: { baseUrl: string; apiKey: string | undefined }) {
  return {
    baseUrl,

    /**
     * Any status is an answer.
     * @param path below the base URL
     * @throws ServiceFailure when there is none
     */
    async call<T>(method: string, path: string, options: CallOptions = {}): Promise<Answer<T>> {
      const { body, withoutApiKey = false } = options;
      const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const headers = new Headers(options.headers);
      if (sent !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
      if (apiKey !== undefined && !withoutApiKey) headers.set('authorization', `Bearer ${apiKey}`);
      return exchange<T>({ method, url: baseUrl + path, body: sent }, headers);
    },
  };
}

async function exchange<T>(request: Answer['request'], headers: Headers): Promise<Answer<T>> {
  const { method, url, body = null } = request;
  const startedAt = performance.now();
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const response = await fetch(url, { method, headers, body, redirect: 'manual', signal });
    const text = await response.text();
    const durationMs = performance.now() - startedAt;
    // T is the caller's claim about a good answer, see Answer.
    const parsed = parseJson(text) as T;
    return { request, status: response.status, headers: response.headers, text, body: parsed, durationMs };
  } catch (error) {
    throw new NoAnswer(`${method} ${url} had no answer: ${reasonOf(error)}.`, { cause: error });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** fetch says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return `nothing came within ${ANSWER_TIMEOUT_MS / 1000} s; check BASE_URL`;
  if (cause?.code === 'ECONNREFUSED') {
    return 'nothing listens there; start the service with npm start, or set BASE_URL';
  }
  return `${cause?.message || cause?.code || message}; check BASE_URL`;
}

/** @throws UnexpectedAnswer unless the answer has this status */
export function expectStatus<T>(answer: Answer<T>, status: number): Answer<T> {
  if (answer.status !== status) throw new UnexpectedAnswer(`expected status ${status}`, answer);
  return answer;
}

/**
 * Where a list goes on, or undefined at its end. The link is relative to the host and repeats the base URL's path, which
 * the client adds itself.
 * @throws UnexpectedAnswer when it leads elsewhere
 */
export function nextPath({ baseUrl }: Pick<ServiceClient, 'baseUrl'>, page: Answer): string | undefined {
  const link = /<([^>]+)>;\s*rel="next"/.exec(page.headers.get('link') ?? '')?.[1];
  if (link === undefined) return undefined;
  const { href } = new URL(link, page.request.url);
  if (!href.startsWith(`${baseUrl}/`)) {
    throw new UnexpectedAnswer(`expected a next page below ${baseUrl}`, page);
  }
  return href.slice(baseUrl.length);
}

/** Longer answers are cut: a page of HTML from a proxy says all it has to say at its start. */
const SHOWN_CHARACTERS = 2000;

/** The request and its answer, for a person to read; headers are left out, because one of them may be a key. */
export function describeExchange({ request, status, headers, text, durationMs }: Answer): string {
  const sent = request.body === undefined ? [] : [`    ${request.body}`];
  const type = headers.get('content-type') ?? 'no content type';
  const requestId = headers.get('x-request-id') ?? 'none';
  return [
    `  → ${request.method} ${request.url}`,
    ...sent,
    `  ← ${status} in ${Math.round(durationMs)} ms, ${type}, request id ${requestId}`,
    ...(text === '' ? [] : [`    ${text.slice(0, SHOWN_CHARACTERS)}`]),
  ].join('\n');
}
