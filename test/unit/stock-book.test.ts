import { expect, test } from 'vitest';

import { bookOf, InsufficientStock, STOCK_MAX, StockBook } from '../../src/inventory/stock-book.ts';
import type { AppError } from '../../src/lib/errors.ts';

const caller = { actor: 'test', requestId: null };
const orderOf = (orderId: number) => ({ orderId, reason: null, caller });

test('reserve 3, release 1, ship 2 of 10: each movement has the counters after it, and the row is written once', () => {
  const other = { id: 2, onHand: 5, reserved: 0 };
  const book = new StockBook(
    new Map([
      [1, { id: 1, onHand: 10, reserved: 0 }],
      [2, other],
    ]),
  );
  book.reserve(1, 3, orderOf(7));
  book.release(1, 1, { ...orderOf(7), reason: 'expired' });
  book.ship(1, 2, orderOf(7));
  const lines = book.changes.map((c) => [c.kind, c.delta, c.onHandAfter, c.reservedAfter, c.reason]);
  expect(lines).toEqual([
    ['reserved', 3, 10, 3, null],
    ['released', -1, 10, 2, 'expired'],
    ['shipped', -2, 8, 0, null],
  ]);
  expect(book.changedCounters()).toEqual([{ id: 1, onHand: 8, reserved: 0 }]);
});

test('an adjustment keeps what orders have reserved, and a refused one changes nothing', () => {
  const book = bookOf({ id: 1, onHand: 10, reserved: 4 });
  const adjust = (delta: number) =>
    book.adjust(1, { delta, kind: 'adjusted', reason: 'count', note: null }, caller);
  expect(adjust(-7)).toBeInstanceOf(InsufficientStock);
  expect(adjust(STOCK_MAX)).toMatchObject({ code: 'stock_out_of_range' } satisfies Partial<AppError>);
  expect(book.changes).toEqual([]);
  expect(adjust(-6)).toMatchObject({ delta: -6, onHandAfter: 4, reservedAfter: 4 });
  expect(book.setSellable(1, 0, { kind: 'adjusted', reason: 'stock set' }, caller)).toBeUndefined();
  expect(book.setSellable(1, 5, { kind: 'adjusted', reason: 'stock set' }, caller)).toMatchObject({
    delta: 5,
  });
  expect(book.get(1)).toEqual({ id: 1, onHand: 9, reserved: 4 });
});

test('counters cannot be changed past the book, and a product outside of it cannot be moved', () => {
  const book = bookOf({ id: 1, onHand: 10, reserved: 0 });
  const attempt = () => {
    // @ts-expect-error counters are readonly outside of the book
    Object.freeze(book.get(1)).reserved = 1;
  };
  expect(attempt).toThrow(TypeError);
  expect(() => book.reserve(2, 1, orderOf(7))).toThrow('product 2 is not in the stock book');
});
