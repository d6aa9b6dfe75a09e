import { expect, test } from 'vitest';

import { AppError } from '../../src/lib/errors.ts';
import type { PaymentEvent } from '../../src/payments/payment-event.ts';
import { useTestService } from '../support/service.ts';

/** Makes that many calls in one tick. @returns their results, refusals among them, and where those stood as they came */
async function callAtOnce<T>(count: number, call: (index: number) => Promise<T>) {
  const order: ('answered' | 'refused')[] = [];
  const results = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const result = await call(index).catch((error: unknown) => error as AppError);
      order.push(result instanceof AppError ? 'refused' : 'answered');
      return result;
    }),
  );
  return { results, order };
}

const queueFull = expect.objectContaining({
  code: 'service_unavailable',
  message: 'Too many requests are waiting, try again',
  headers: { 'retry-after': '1' },
});

/** An event that names no order, and so has no effect but to be stored. */
function note(index: number): PaymentEvent {
  return {
    identity: `note-${index}`,
    type: 'payment.note',
    orderId: null,
    provider: 'generic',
    currency: undefined,
    amountCents: undefined,
    paymentMethod: undefined,
    scheme: 'x-webhook-signature',
    unsignedEventId: undefined,
    rawBody: Buffer.from('{}'),
    replayed: false,
  };
}

test('10,300 reads of one tick: 300 find the queue full and get 503 at once, 10,000 are answered', async () => {
  const service = await useTestService();
  const { id } = await service.createProduct();
  const { results, order } = await callAtOnce(10_300, () => service.services.products.get(id));
  expect(order.slice(0, 300)).toEqual(Array(300).fill('refused'));
  expect(results.slice(10_000)).toEqual(Array(300).fill(queueFull));
  const [first] = results;
  expect(first).toMatchObject({ version: 1 });
  expect(results.slice(0, 10_000)).toEqual(Array(10_000).fill(first));
});

test('2,100 payment events of one tick: 98 find the queue full and get 503 at once, the others are stored once each', async () => {
  const service = await useTestService();
  const caller = { actor: 'payment-provider', requestId: 'many' };
  const { results, order } = await callAtOnce(2100, (index) =>
    service.services.payments.apply(note(index), caller),
  );
  // Two are under way before the others come, one on each lane, and 2,000 wait.
  expect(order.slice(0, 98)).toEqual(Array(98).fill('refused'));
  expect(results.slice(2002)).toEqual(Array(98).fill(queueFull));
  const [first] = results;
  expect(first).toMatchObject({ status: 'ignored' });
  expect(results.slice(0, 2002)).toEqual(Array(2002).fill(first));
  const [stored] = await service.database.query('select count(*)::int from inbound_deliveries');
  expect(stored).toEqual({ count: 2002 });
});
