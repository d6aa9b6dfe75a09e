import { createHmac } from 'node:crypto';

import { Agent, request } from 'undici';

import type { Clock } from '../lib/clock.ts';
import { standardWebhooksKey } from '../lib/signing-key.ts';
import type { EndpointRules } from './address-guard.ts';
import type { SendFault, Sent } from './delivery-rules.ts';
import {
  AddressRefusedError,
  type ConnectorOptions,
  createGuardedConnector,
  UnresolvedError,
} from './guarded-connector.ts';

/*
 * Sends one delivery. Nothing of what a receiver does may harm the service: it has a deadline for everything together,
 * answers are read to a bound and never unpacked, redirects are not followed, and the environment's proxies are not used.
 * Faults are reported by class, so that an endpoint cannot be used to find out what listens in a private network.
 */

/** Resolving, connecting, sending and reading the answer, together. */
const DEADLINE_MS = 15_000;
const ANSWER_BYTES = 16 * 1024;
const ANSWER_HEADER_BYTES = 16 * 1024;
/** What a delivery keeps of an answer. */
const KEPT_BYTES = 1024;
const KEEP_ALIVE_MS = 10_000;

export interface Message {
  readonly url: string;
  /** The same on every try. */
  readonly id: string;
  readonly body: string;
  /** Those that sign at this time: the current one, and the one before during a rotation. */
  readonly secrets: readonly string[];
  readonly traceparent: string | null;
}

export interface Sender {
  /** Never throws: a fault is a result. */
  send(message: Message): Promise<Sent>;
  close(): Promise<void>;
}

export interface SenderOptions extends Omit<ConnectorOptions, 'rules'> {
  readonly rules: EndpointRules;
  readonly clock: Clock;
  /** Connections to one host. */
  readonly connections: number;
  readonly deadlineMs?: number;
}

export function createSender({
  deadlineMs = DEADLINE_MS,
  connections,
  clock,
  ...connector
}: SenderOptions): Sender {
  const agent = new Agent({
    connect: createGuardedConnector(connector),
    connections,
    pipelining: 1,
    maxHeaderSize: ANSWER_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    // The deadline covers both.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async send(message) {
      const startedAt = performance.now();
      const deadline = new AbortController();
      // undici looks at the signal of a request only once it has a connection.
      const passed = new Promise<typeof LATE>((resolve) => {
        deadline.signal.addEventListener('abort', () => resolve(LATE));
      });
      const timer = setTimeout(() => deadline.abort(), deadlineMs);
      const answer = exchange(agent, message, clock.nowMs(), deadline.signal).catch((error: unknown) => ({
        ...NO_ANSWER,
        fault: faultOf(error),
      }));
      const result = await Promise.race([answer, passed]);
      clearTimeout(timer);
      return { ...result, durationMs: Math.round(performance.now() - startedAt) };
    },
    // What is under way has its deadline; a process that ends does not wait for it.
    close: () => agent.destroy(),
  };
}

const NO_ANSWER = { status: null, retryAfter: null, response: null };
const LATE = { ...NO_ANSWER, fault: 'timeout' } as const;

async function exchange(
  agent: Agent,
  { url, id, body, secrets, traceparent }: Message,
  nowMs: number,
  signal: AbortSignal,
): Promise<Omit<Sent, 'durationMs'>> {
  const timestamp = Math.floor(nowMs / 1000);
  const {
    statusCode,
    headers,
    body: answer,
  } = await request(url, {
    dispatcher: agent,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'orders-inventory/1',
      'accept-encoding': 'identity',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': secrets.map((secret) => signatureOf(secret, id, timestamp, body)).join(' '),
      ...(traceparent === null ? {} : { traceparent }),
    },
    body,
    signal,
  });
  const retryAfter = headers['retry-after'];
  const chunks: Buffer[] = [];
  let bytes = 0;
  // A status alone is no receipt: what broke off may have come from a proxy, whose receiver has failed.
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES) break;
  }
  return {
    status: statusCode,
    fault: null,
    retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
    response: textOf(Buffer.concat(chunks)),
  };
}

/** @param secret as it was shown: `whsec_` and base64 */
function signatureOf(secret: string, id: string, timestamp: number, body: string): string {
  const mac = createHmac('sha256', standardWebhooksKey(secret)).update(`${id}.${timestamp}.${body}`);
  return `v1,${mac.digest('base64')}`;
}

/** The beginning of an answer as text. PostgreSQL stores no NUL; a character that is cut becomes U+FFFD. */
function textOf(answer: Buffer): string {
  return answer.subarray(0, KEPT_BYTES).toString('utf8').replaceAll('\0', '\uFFFD');
}

function faultOf(error: unknown): SendFault {
  const { name = '', code = '', message = '' } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  if (error instanceof AddressRefusedError) return 'address_refused';
  if (error instanceof UnresolvedError) return 'unresolved';
  if (name === 'ConnectTimeoutError') return 'timeout';
  if (/^(ERR_TLS|ERR_SSL|CERT_|EPROTO|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_)/.test(code)) return 'tls';
  if (name.startsWith('HTTPParser') || name === 'HeadersOverflowError') return 'malformed_answer';
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || message === 'aborted') return 'broken_off';
  return 'unreachable';
}
