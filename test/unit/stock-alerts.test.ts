import { expect, test } from 'vitest';

import { alertsOf } from '../../src/inventory/stock-alerts.ts';
import { bookOf } from '../../src/inventory/stock-book.ts';

const caller = { actor: 'test', requestId: 'r' };
const cause = { orderId: 1, reason: null, caller };

/** The events of a book whose product goes from one stock to another, over what lies between. */
function told(threshold: number | null, before: number, ...steps: number[]): string[] {
  const book = bookOf({
    id: 7,
    sku: 'S',
    version: 4,
    onHand: 100,
    reserved: 100 - before,
    lowStockThreshold: threshold,
  });
  let now = before;
  for (const step of steps) {
    if (step < now) book.reserve(7, now - step, cause);
    else book.release(7, step - now, cause);
    now = step;
  }
  return alertsOf(book).map(({ type }) => type);
}

test.each([
  [3, [5, 4], []],
  [3, [4, 3], ['stock.low']],
  [3, [3, 2], []],
  [3, [4, 0], ['stock.low', 'stock.depleted']],
  [3, [1, 0], ['stock.depleted']],
  [null, [4, 1], []],
  [null, [4, 0], ['stock.depleted']],
  [3, [0, 1], ['stock.available']],
  [3, [0, 9], ['stock.available']],
  [3, [1, 9], []],
  // What comes and goes within one transaction crosses nothing.
  [3, [4, 0, 4], []],
  [3, [0, 9, 0], []],
  [3, [9, 12, 2], ['stock.low']],
  [3, [5], []],
] as const)(
  'with a threshold of %s, stock that goes %j writes %j',
  (threshold, [before, ...steps], events) => {
    expect(told(threshold, before, ...steps)).toEqual(events);
  },
);

test('an alert has the level after the change, the next version of the product, and the caller of the last change', () => {
  const book = bookOf({ id: 7, sku: 'S', version: 4, onHand: 10, reserved: 5, lowStockThreshold: 3 });
  book.reserve(7, 1, { ...cause, caller: { actor: 'first', requestId: null } });
  book.reserve(7, 2, cause);
  expect(alertsOf(book)).toEqual([
    {
      type: 'stock.low',
      aggregateType: 'product',
      aggregateId: 7,
      aggregateVersion: 5,
      caller,
      payload: {
        level: { product_id: 7, sku: 'S', stock: 2, reserved: 8, on_hand: 10, low_stock_threshold: 3 },
      },
    },
  ]);
});
