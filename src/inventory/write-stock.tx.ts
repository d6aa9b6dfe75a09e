import type { Tx } from '../db/types.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { Movement } from './movement.ts';
import { alertsOf } from './stock-alerts.ts';
import type { StockBook, StockedProduct } from './stock-book.ts';
import * as stock from './stock.repository.ts';

/** Writes a book: its counters, its movements, and the events of the marks that it has crossed. To be called once a transaction. */
export async function writeStock(tx: Tx, book: StockBook<StockedProduct>): Promise<void> {
  await stock.writeStock(tx, book);
  await appendEvents(tx, alertsOf(book));
}

/** Writes a book, and returns its movements as they are stored. */
export async function writeStockReturning(tx: Tx, book: StockBook<StockedProduct>): Promise<Movement[]> {
  const movements = await stock.writeStockReturning(tx, book);
  await appendEvents(tx, alertsOf(book));
  return movements;
}

/** Writes the events of the marks that a book has crossed, where the caller's own statement writes its counters. */
export async function writeStockAlerts(tx: Tx, book: StockBook<StockedProduct>): Promise<void> {
  await appendEvents(tx, alertsOf(book));
}
