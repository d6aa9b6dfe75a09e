import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';

import { inBrokenTransaction } from './broken-transaction.ts';

export type OrderFault = 'check-outside-lock' | 'no-key' | 'unsorted-locks';

interface Item {
  product_id: number;
  quantity: number;
}

interface OrderBody {
  product_id?: number;
  quantity?: number;
  items?: Item[];
  customer_email?: string;
}

interface ProductRow {
  id: string;
  sku: string;
  price: string;
  on_hand: string;
  reserved: string;
}

const PRODUCT = 'select id, sku, price, on_hand, reserved from products where id = $1';

/** Places an order as the service does, one transaction for each, but for one fault. */
export async function placeBroken(
  pool: pg.Pool,
  fault: OrderFault,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const body = request.body as OrderBody;
  const items = body.items ?? [{ product_id: body.product_id ?? 0, quantity: body.quantity ?? 0 }];
  // The first fault: stock that is read here may be sold before it is written.
  const early = fault === 'check-outside-lock' ? await readProducts(pool, items, '') : undefined;
  const { status, answer } = await inBrokenTransaction(pool, async (client) => {
    const products = early ?? (await readProducts(client, sorted(items, fault), ' for update'));
    for (const { product_id: id, quantity } of items) {
      const { on_hand, reserved } = products.get(id) as ProductRow;
      const available = Number(on_hand) - Number(reserved);
      if (available >= quantity) continue;
      const detail = `Insufficient stock. Available: ${available}, Requested: ${quantity}`;
      return { status: 409, answer: { code: 'insufficient_stock', detail } };
    }
    const order = await writeOrder(client, body.customer_email ?? null, items, products);
    return { status: 201, answer: order };
  });
  return reply.code(status).send(answer);
}

/** The second fault ignores the Idempotency-Key. The third locks rows in the order of the basket. */
function sorted(items: readonly Item[], fault: OrderFault): readonly Item[] {
  return fault === 'unsorted-locks' ? items : items.toSorted((a, b) => a.product_id - b.product_id);
}

async function readProducts(
  db: pg.Pool | pg.PoolClient,
  items: readonly Item[],
  lock: string,
): Promise<Map<number, ProductRow>> {
  const products = new Map<number, ProductRow>();
  for (const { product_id: id } of items) {
    const { rows } = await db.query<ProductRow>(PRODUCT + lock, [id]);
    if (rows[0] !== undefined) products.set(id, rows[0]);
  }
  return products;
}

async function writeOrder(
  client: pg.PoolClient,
  email: string | null,
  items: readonly Item[],
  products: ReadonlyMap<number, ProductRow>,
): Promise<object> {
  const lines = items.map((item) => ({ ...item, product: products.get(item.product_id) as ProductRow }));
  const total = lines.reduce((sum, { product, quantity }) => sum + Number(product.price) * quantity, 0);
  const { rows } = await client.query<{ id: string }>(
    'insert into orders (total, customer_email) values ($1, $2) returning id',
    [total.toFixed(2), email],
  );
  const id = Number(rows[0]?.id);
  for (const [position, { product, quantity }] of lines.entries()) {
    const reserved = Number(product.reserved) + quantity;
    await client.query(
      `insert into order_items (order_id, position, product_id, sku, quantity, unit_price)
       values ($1, $2, $3, $4, $5, $6)`,
      [id, position, product.id, product.sku, quantity, product.price],
    );
    await client.query('update products set reserved = $2, version = version + 1 where id = $1', [
      product.id,
      reserved,
    ]);
    await client.query(
      `insert into stock_movements (product_id, kind, delta, on_hand_after, reserved_after, order_id, actor)
       values ($1, 'reserved', $2, $3, $4, $5, 'broken')`,
      [product.id, quantity, product.on_hand, reserved, id],
    );
  }
  await client.query(
    `insert into events (type, aggregate_type, aggregate_id, aggregate_version, actor)
     values ('order.created', 'order', $1, 1, 'broken')`,
    [id],
  );
  return { id, status: 'PENDING', items, total: Number(total.toFixed(2)), customer_email: email };
}
