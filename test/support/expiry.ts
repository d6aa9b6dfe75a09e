import { sweepOverdueOrders } from '../../src/orders/expiry/expiry.service.ts';
import { tamper } from './audits.ts';
import { type TestService, type TestServiceOptions, useTestService } from './service.ts';

/** A service whose orders expire after a quarter of an hour; no sweep runs but when a test calls it. */
export function useExpiringService(options: TestServiceOptions = {}): Promise<TestService> {
  return useTestService({ orderTtlMinutes: 15, ...options });
}

/** Moves the time of orders: as if they had been placed a quarter of an hour, and `ms` milliseconds, ago. */
export async function letTimePass(service: TestService, ids: readonly number[], ms = 1): Promise<void> {
  await tamper(
    service.database,
    `update orders set expires_at = clock_timestamp() - ${ms} * interval '1 millisecond'
      where id = any('{${ids.join()}}')`,
  );
}

/** Overdue orders, each of these items, placed by the service. */
export async function placeOverdue(
  service: TestService,
  count: number,
  ...items: [productId: number, quantity: number][]
): Promise<number[]> {
  const body = { items: items.map(([product_id, quantity]) => ({ product_id, quantity })) };
  const answers = await Promise.all(
    Array.from({ length: count }, () => service.call('POST', '/orders', body)),
  );
  const failed = answers.find(({ status }) => status !== 201);
  if (failed !== undefined) throw new Error(`expected 201, got ${failed.status}: ${failed.text}`);
  const ids = answers.map(({ body: order }) => order.id as number);
  await letTimePass(service, ids);
  return ids;
}

export function sweep({ own, services }: TestService): Promise<number> {
  return sweepOverdueOrders(own.db, services.metrics);
}

/** What has expired so far at this instance, by what has found it. */
export async function expiredBy({ services }: TestService): Promise<Record<string, number>> {
  const { values } = await services.metrics.ordersExpired.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.by, value]));
}

export async function stockOf(service: TestService, id: number) {
  const { stock, reserved, on_hand } = (await service.call('GET', `/products/${id}`)).body;
  return { stock, reserved, on_hand };
}
