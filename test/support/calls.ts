import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import type { Logger } from 'pino';

import type { AppOptions } from '../../src/app.ts';
import type { RequestEntry } from '../../src/http/request-line.ts';
import type { Dependencies } from '../../src/services.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { OutboundSettings } from '../../src/services.ts';
import type { TestDatabase } from './database.ts';

/* What calls to a service have in common, whether it is in this process or in others. */

export const WEBHOOK_SECRET = 'test-secret';

export interface TestServiceOptions {
  /** An existing database, for a second instance on it; a fresh clone otherwise. */
  database?: TestDatabase;
  poolSize?: number;
  webhookSecrets?: readonly string[];
  clock?: Clock;
  orderTtlMinutes?: number;
  eventRetentionDays?: number;
  outbound?: Partial<OutboundSettings>;
  streamLimits?: Dependencies['streamLimits'];
  currency?: string;
  paymentFailed?: 'cancel' | 'keep';
  /** Settings of the app, instead of those of a test. */
  config?: Partial<AppOptions['config']>;
  limits?: AppOptions['limits'];
  readiness?: AppOptions['readiness'];
  /** Nothing is logged otherwise. */
  logger?: Logger;
  logRequest?: (entry: RequestEntry) => void;
}

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
