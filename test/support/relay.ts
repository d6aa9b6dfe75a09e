import { afterEach, expect } from 'vitest';

import type { Receiver } from './receivers.ts';
import { type TestService, useSharedService } from './service.ts';

/* Steps of the relay for tests: everything that is due is done, and what is not due is made so. */

/** A service for all tests of a file; each leaves no endpoint and no delivery behind. */
export function useRelayService(): TestService {
  const service = useSharedService({ outbound: { limits: { deadlineMs: 300 } } });
  afterEach(async () => {
    const { body } = await service.call('GET', '/webhook-endpoints');
    for (const { id } of body) await service.call('DELETE', `/webhook-endpoints/${id}`);
    await service.services.deliveries.purge();
  });
  return service;
}

export interface TestEndpoint {
  id: number;
  secret: string;
}

export async function createEndpoint(
  { call }: Pick<TestService, 'call'>,
  { url }: Pick<Receiver, 'url'>,
  fields: Record<string, unknown> = {},
): Promise<TestEndpoint> {
  const answer = await call('POST', '/webhook-endpoints', { url, ...fields });
  expect(answer.status).toBe(201);
  return answer.body;
}

/**
 * Copies every event that is committed. A transaction of another database of the server holds the feed up, so this waits until
 * the events of this one are there.
 */
export async function fanOut({ services, database }: TestService): Promise<void> {
  await expect
    .poll(async () => {
      let done = await services.relay.fanOutOnce();
      while (!done.isEnd) done = await services.relay.fanOutOnce();
      const [row] = await database.query<{ behind: boolean }>(`
        select exists (
          select from events e, event_consumers c
           where c.name = 'webhooks' and (e.transaction_id, e.id) > (c.transaction_id, c.event_id)
        ) as behind`);
      return row?.behind;
    })
    .toBe(false);
}

/** Lets every pause and lease end now. */
export async function endPauses({ database }: Pick<TestService, 'database'>): Promise<void> {
  await database.query("update webhook_deliveries set due_at = now() where status = 'pending'");
}

/** Copies and sends all that is due, until nothing is. @returns how many tries there were */
export async function relayAll(service: TestService): Promise<number> {
  await fanOut(service);
  let tries = 0;
  for (;;) {
    const claimed = await service.services.relay.relayOnce();
    if (claimed === 0) return tries;
    tries += claimed;
  }
}

export interface DeliveryRow {
  id: number;
  endpoint_id: number;
  event_id: string;
  event_type: string;
  status: string;
  next_attempt_at: string | null;
  attempts: { at: string; status: number | null; error: string | null; response: string | null }[];
}

export async function deliveriesOf(
  { call }: Pick<TestService, 'call'>,
  query: string,
): Promise<DeliveryRow[]> {
  const { status, body } = await call('GET', `/webhook-deliveries?sort=id&${query}`);
  expect(status).toBe(200);
  return body;
}
