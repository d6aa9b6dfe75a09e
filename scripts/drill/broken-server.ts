import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import pg from 'pg';

import { serveParent } from '../support/serve-parent.ts';
import { type OrderFault, placeBroken } from './broken-orders.ts';
import { applyBroken, type PaymentFault } from './broken-payments.ts';

/*
 * The control of the drills: one handler on the service's own tables, with one fault, chosen by name. Real shops have
 * had each of these faults. The rest of the handler is right, so a drill that finds nothing here would find nothing in
 * the service either. It is part of the drills alone; the service has no switch that breaks it.
 */
export type Fault = OrderFault | PaymentFault;

const fault = process.argv[2] as Fault;
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 });
pool.on('error', () => undefined);

const app = Fastify();
/** Deadlocks are told as the service tells them; anything else that goes wrong here is not the fault that was asked for. */
app.setErrorHandler((error: Error & { code?: string }, _request: FastifyRequest, reply: FastifyReply) =>
  reply.code(error.code === '40P01' ? 503 : 500).send({ detail: error.message }),
);
app.post('/orders', (request, reply) => placeBroken(pool, fault as OrderFault, request, reply));
app.post('/webhooks/payment', (request) => applyBroken(pool, fault as PaymentFault, request));

await serveParent(app);
