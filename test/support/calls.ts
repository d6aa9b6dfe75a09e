import { createHmac } from 'node:crypto';

import type { InjectOptions, LightMyRequestResponse } from 'fastify';

/* What calls to a service have in common, whether it is in this process or in others. */

export const WEBHOOK_SECRET = 'test-secret';

export interface Answer {
  status: number;
  headers: LightMyRequestResponse['headers'];
  // Tests read answers as a client would: whatever is in them. What they expect is in their assertions.
  body: ReturnType<typeof JSON.parse>;
  text: string;
}

export type CallService = (
  method: InjectOptions['method'],
  url: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>;

export function toPayload(body: unknown): string | Buffer {
  return typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
}

/** `sha256=<hex>` over the bytes of a payload. */
export function signPayload(payload: string | Buffer, secret: string = WEBHOOK_SECRET): string {
  return `sha256=${createHmac('sha256', secret).update(payload).digest('hex')}`;
}
