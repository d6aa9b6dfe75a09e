import { randomUUID } from 'node:crypto';

export const baseUrl = process.env['BASE_URL'] ?? 'http://127.0.0.1:8000';

/** A product of which a trial sells one piece, and of which there are fewer than it asks for the second time. */
export const product = { sku: `CLIENT-${randomUUID().slice(0, 8)}`, name: 'A thing', price: 29.99, stock: 5 };
export const TOO_MANY = 6;

/** The types are the point: they are what the generated client says that it has read. */
export function holdOrder(order: {
  id: number;
  status: 'PENDING' | 'PAID' | 'SHIPPED' | 'CANCELED';
  total: number;
}): void {
  if (order.id > 0 && order.status === 'PENDING' && order.total === product.price) return;
  throw new Error(`not the order that was placed: ${JSON.stringify(order)}`);
}

export function holdShortage(
  problem:
    | { code: string; shortages?: { product_id: number; available: number; requested: number }[] }
    | undefined,
): void {
  const [shortage] = problem?.shortages ?? [];
  if (problem?.code === 'insufficient_stock' && shortage?.available === 4 && shortage.requested === TOO_MANY)
    return;
  throw new Error(`not the refusal of too large an order: ${JSON.stringify(problem)}`);
}
