import { InsufficientStock, sellable } from '../../inventory/stock-book.ts';
import type { LockedProduct } from '../../inventory/stock.repository.ts';
import { AppError } from '../../lib/errors.ts';
import { centsToDecimal, centsToNumber, MAX_AMOUNT, totalCents } from '../../lib/money.ts';
import { type NewOrder, type OrderPreview, soleItem } from '../order.ts';

export interface OrderLine {
  product: LockedProduct;
  quantity: number;
}

export interface AcceptedOrder {
  lines: OrderLine[];
  totalCents: number;
}

/**
 * Decides one order on products as they stand: all of it or nothing. Pure; the caller holds the locks. An unknown product
 * is refused before an inactive one, and that before missing stock; a total that no column holds, or that is not the
 * expected one, comes last.
 * @returns the refusal product_not_found, product_inactive, insufficient_stock, total_out_of_range or total_changed, if
 * there is one
 */
export function decideOrder(
  order: NewOrder,
  products: Pick<ReadonlyMap<number, LockedProduct>, 'get'>,
): AcceptedOrder | AppError {
  const lines: OrderLine[] = [];
  for (const { productId, quantity } of order.items) {
    const product = products.get(productId);
    if (product === undefined) {
      return new AppError('product_not_found', 'Product not found', { fields: { product_id: productId } });
    }
    lines.push({ product, quantity });
  }
  const inactive = lines.find(({ product }) => !product.active);
  if (inactive !== undefined) {
    const fields = { product_id: inactive.product.id };
    return new AppError('product_inactive', 'Product is not active', { fields });
  }
  const shortage = shortageOf(lines);
  if (shortage !== undefined) return shortage;
  const total = totalCents(
    lines.map(({ product, quantity }) => ({ quantity, priceCents: product.priceCents })),
  );
  if (total === undefined) {
    return new AppError('total_out_of_range', `The total of the order is above ${MAX_AMOUNT}`);
  }
  const { expectedTotalCents = total } = order;
  return expectedTotalCents === total
    ? { lines, totalCents: total }
    : totalChanged(expectedTotalCents, total);
}

function totalChanged(expectedCents: number, cents: number): AppError {
  const [expected, total] = [centsToDecimal(expectedCents), centsToDecimal(cents)];
  const fields = { expected_total: centsToNumber(expectedCents), total: centsToNumber(cents) };
  return new AppError('total_changed', `The total is ${total}, not the expected ${expected}`, { fields });
}

function shortageOf(lines: readonly OrderLine[]): InsufficientStock | undefined {
  const shortages = lines
    .filter(({ product, quantity }) => quantity > sellable(product))
    .map(({ product, quantity }) => ({
      product_id: product.id,
      available: sellable(product),
      requested: quantity,
    }));
  const [first, ...others] = shortages;
  return first === undefined ? undefined : new InsufficientStock([first, ...others]);
}

/** The order that a decision makes at a time, as callers will see it; nothing is written. */
export function previewOrder(
  order: NewOrder,
  accepted: AcceptedOrder,
  now: string,
  { currency, expiresAt }: { currency: string; expiresAt: string | null },
): OrderPreview {
  const items = accepted.lines.map(({ product, quantity }) => ({
    product_id: product.id,
    sku: product.sku,
    quantity,
    unit_price: centsToNumber(product.priceCents),
  }));
  return {
    status: 'PENDING',
    items,
    total: centsToNumber(accepted.totalCents),
    currency,
    amount_paid: 0,
    amount_refunded: 0,
    customer_email: order.customerEmail,
    version: 1,
    expires_at: expiresAt,
    created_at: now,
    updated_at: now,
    ...soleItem(items),
  };
}
