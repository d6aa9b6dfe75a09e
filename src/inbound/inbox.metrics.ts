import { Counter, type Registry } from 'prom-client';

export type InboxMetrics = ReturnType<typeof createInboxMetrics>;

export function createInboxMetrics(registers: Registry[]) {
  return {
    inboxUnrecorded: new Counter({
      name: 'webhook_inbox_unrecorded_total',
      help: 'Deliveries without effect that were not kept in the inbox, because there were too many',
      labelNames: ['verdict'] as const,
      registers,
    }),
  };
}
