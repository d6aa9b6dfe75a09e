import { expect } from 'vitest';

import type { TestDatabase } from './database.ts';
import type { TestService } from './service.ts';

/** Writes past every trigger, as a superuser's slip or a broken restore would. */
export async function tamper(database: TestDatabase, statement: string): Promise<void> {
  await database.query(`begin; set local session_replication_role = replica; ${statement}; commit`);
}

/** What the audit says when everything adds up. */
export async function expectNoDrift(service: TestService): Promise<void> {
  const { status, body } = await service.call('GET', '/inventory/audit');
  expect(status).toBe(200);
  expect(body).toMatchObject({ drift_units: 0, drifting_products: 0, drifts: [] });
}

/** What the audit of payments says when every difference is told or accepted. */
export async function expectMoneyAddsUp(service: TestService): Promise<void> {
  const { status, body } = await service.call('GET', '/payments/audit');
  expect(status).toBe(200);
  expect(body).toMatchObject({ drift_cents: 0, drifting_orders: 0, drifts: [] });
}
