import type { Answer, TestService } from './service.ts';
import { deliver } from './webhooks.ts';
import { signPayload } from './service.ts';

/** Sends bytes under a right signature. */
export function deliverSigned(
  service: TestService,
  payload: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return deliver(service, payload, { 'x-webhook-signature': signPayload(payload), ...headers });
}

/** Sends bytes under a signature that is none of ours. */
export function deliverForged(service: TestService, payload: string | Buffer): Promise<Answer> {
  return deliver(service, payload, { 'x-webhook-signature': `sha256=${'0'.repeat(64)}` });
}

export async function inboxOf(service: TestService, query = ''): Promise<Answer['body'][]> {
  const { status, body, text } = await service.call('GET', `/webhooks/inbox?${query}`);
  if (status !== 200) throw new Error(text);
  return body;
}

export function replay(service: TestService, id: number): Promise<Answer> {
  return service.call('POST', `/webhooks/inbox/${id}/replay`);
}

/** The id of the next order that is placed, as long as nobody else places one. */
export async function nextOrderId(service: TestService): Promise<number> {
  const [row] = await service.database.query<{ next: number }>(
    'select case when is_called then last_value + 1 else last_value end::int as next from orders_id_seq',
  );
  return row?.next ?? 0;
}
