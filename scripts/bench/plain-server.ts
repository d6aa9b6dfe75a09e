import Fastify from 'fastify';
import pg from 'pg';

import { serveParent } from '../support/serve-parent.ts';

/*
 * Orders the plain way: Fastify, a pool of 10, and one transaction an order that locks the product, takes the stock,
 * inserts order, item and event, and commits. Statements are prepared; nothing is made slower than it need be.
 */
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 });
pool.on('error', () => undefined);

interface OrderBody {
  product_id: number;
  quantity: number;
}

interface ProductRow {
  sku: string;
  price: string;
  stock: string;
}

const LOCK = {
  name: 'lock',
  text: 'select sku, price, stock from products where id = $1 for update',
};
const TAKE = { name: 'take', text: 'update products set stock = stock - $2 where id = $1' };
const INSERT_ORDER = {
  name: 'order',
  text: 'insert into orders (total) values ($1) returning id, status, created_at',
};
const INSERT_ITEM = {
  name: 'item',
  text: 'insert into order_items (order_id, product_id, quantity, unit_price) values ($1, $2, $3, $4)',
};
const INSERT_EVENT = {
  name: 'event',
  text: `insert into outbox (type, payload) values ('order.created', $1)`,
};

/** @returns the order, or the status to refuse it with */
async function placeOrder(client: pg.PoolClient, body: OrderBody): Promise<object | 404 | 409> {
  const { product_id: productId, quantity } = body;
  const found = await client.query<ProductRow>({ ...LOCK, values: [productId] });
  const product = found.rows[0];
  if (product === undefined) return 404;
  if (Number(product.stock) < quantity) return 409;
  await client.query({ ...TAKE, values: [productId, quantity] });
  const total = (Math.round(Number(product.price) * 100) * quantity) / 100;
  const inserted = await client.query<{ id: string; status: string; created_at: Date }>({
    ...INSERT_ORDER,
    values: [total],
  });
  const order = inserted.rows[0];
  if (order === undefined) throw new Error('no order was inserted');
  await client.query({ ...INSERT_ITEM, values: [order.id, productId, quantity, product.price] });
  const event = { order_id: Number(order.id), product_id: productId, quantity };
  await client.query({ ...INSERT_EVENT, values: [event] });
  const item = { product_id: productId, sku: product.sku, quantity, unit_price: Number(product.price) };
  return { ...order, id: Number(order.id), items: [item], total };
}

const app = Fastify();
const schema = {
  body: {
    type: 'object',
    required: ['product_id', 'quantity'],
    properties: { product_id: { type: 'integer' }, quantity: { type: 'integer', minimum: 1 } },
  },
};

app.post<{ Body: OrderBody }>('/orders', { schema }, async (request, reply) => {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const order = await placeOrder(client, request.body);
    await client.query(typeof order === 'number' ? 'rollback' : 'commit');
    return typeof order === 'number' ? await reply.code(order).send() : await reply.code(201).send(order);
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
});

await serveParent(app);
