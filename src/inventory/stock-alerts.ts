import { type NewEvent, newEvent } from '../events/define-event.ts';
import { sellable, type StockBook, type StockedProduct } from './stock-book.ts';
import { stockAvailable, stockDepleted, stockLow } from './stock.events.ts';

/*
 * Which marks the stock of products has crossed. Pure.
 *
 * What counts is what a transaction found and what it leaves, under its lock on the product: stock that it releases and
 * sells again crosses nothing, and each way down is announced once. The next transaction begins where this one ended.
 */
export function alertsOf(book: StockBook<StockedProduct>): NewEvent[] {
  const events: NewEvent[] = [];
  for (const { product, before } of book.moved()) {
    const crossed = marksCrossed(before, sellable(product), product.lowStockThreshold);
    if (crossed.length === 0) continue;
    const subject = { id: product.id, version: product.version + 1 };
    const payload = { level: levelOf(product) };
    events.push(...crossed.map((mark) => newEvent(mark, subject, payload, book.lastCaller(product.id))));
  }
  return events;
}

function marksCrossed(before: number, after: number, threshold: number | null) {
  if (after > before) return before === 0 ? [stockAvailable] : [];
  const isLow = threshold !== null && before > threshold && after <= threshold;
  const isDepleted = before > 0 && after === 0;
  return [...(isLow ? [stockLow] : []), ...(isDepleted ? [stockDepleted] : [])];
}

function levelOf(product: StockedProduct) {
  return {
    product_id: product.id,
    sku: product.sku,
    stock: sellable(product),
    reserved: product.reserved,
    on_hand: product.onHand,
    low_stock_threshold: product.lowStockThreshold,
  };
}
