import Fastify from 'fastify';

import { serveParent } from '../support/serve-parent.ts';

/** A bare Fastify: no schema, no database, no log. What HTTP and JSON alone cost. */
const { product, order } = JSON.parse(process.argv[2] ?? '{}') as { product: object; order: object };

const app = Fastify();
app.get('/products/:id', async () => product);
app.post('/orders', async (_request, reply) => reply.code(201).send(order));

await serveParent(app);
