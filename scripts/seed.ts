import { readArguments, runScript } from './support/arguments.ts';
import { ENVIRONMENT_USAGE, readEnvironment } from './support/environment.ts';
import { seedOrders, seedProducts } from './support/seed-data.ts';
import {
  readProduct,
  type SeededOrder,
  type SeededProduct,
  seedOrder,
  seedProduct,
} from './support/seed-shop.ts';
import { createServiceClient } from './support/service-client.ts';
import { paint, table } from './support/terminal.ts';

const USAGE = `Fills a running service with a small shop: products, and orders in every state.

  npm run seed

It may be run again: what is there already is left as it is, what is missing is added.

${ENVIRONMENT_USAGE}
Exit code: 0 when the shop is there, 1 when not, 2 for wrong arguments.
`;

await runScript(USAGE, async (args) => {
  readArguments(args, {});
  const { webhookSecret, ...environment } = readEnvironment();
  const client = createServiceClient(environment);

  const products = new Map<string, SeededProduct>();
  for (const product of seedProducts) products.set(product.sku, await seedProduct(client, product));
  const orders: SeededOrder[] = [];
  // One after another, in the order of the list: the newest orders shall be the ones that still wait for payment.
  for (const order of seedOrders) orders.push(await seedOrder({ client, webhookSecret, products }, order));
  // Read again, because the orders have taken from their stock.
  const stocked: SeededProduct[] = [];
  for (const { id, change } of products.values())
    stocked.push({ ...(await readProduct(client, id)), change });

  const made = [...products.values(), ...orders].filter(({ change }) => change !== 'kept').length;
  process.stdout.write(`${productTable(stocked)}\n\n${orderTable(orders)}\n\n`);
  process.stdout.write(
    `${paint('green', `${products.size} products and ${orders.length} orders`)} at ${client.baseUrl}, ` +
      `${made === 0 ? 'all there before' : `${made} of them new or moved on`}.\n`,
  );
  return 0;
});

function productTable(products: readonly SeededProduct[]): string {
  return table(
    [
      { title: 'id', value: ({ id }) => id },
      { title: 'sku', value: ({ sku }) => sku },
      { title: 'product', value: ({ name }) => name },
      { title: 'price', value: ({ price }) => price.toFixed(2) },
      { title: 'stock', value: ({ stock }) => stock },
      { title: 'reserved', value: ({ reserved }) => reserved },
      { title: '', value: ({ active, change }) => (active ? change : `${change}, inactive`) },
    ],
    products,
  );
}

function orderTable(orders: readonly SeededOrder[]): string {
  return table(
    [
      { title: 'id', value: ({ id }) => id },
      { title: 'customer', value: ({ customer_email }) => customer_email ?? '' },
      {
        title: 'items',
        value: ({ items }) => items.map(({ quantity, sku }) => `${quantity} × ${sku}`).join(', '),
      },
      { title: 'total', value: ({ total }) => total.toFixed(2) },
      { title: 'status', value: ({ status }) => status },
      { title: '', value: ({ change }) => change },
    ],
    orders,
  );
}
