import { Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { Id, NoQuery, ref, Timestamp } from '../http/schemas.ts';

const tags = ['Inventory'];

export const StockDriftSchema = Type.Object(
  {
    product_id: Id,
    sku: Type.Union([Type.String(), Type.Null()], { description: 'null when the product is gone' }),
    on_hand: Type.Object({ stored: Type.Integer(), ledger: Type.Integer() }),
    reserved: Type.Object({ stored: Type.Integer(), ledger: Type.Integer(), orders: Type.Integer() }),
    drift_units: Type.Integer({ description: 'The differences from what is stored, counted up' }),
  },
  { $id: 'StockDrift' },
);

export const InventoryAuditSchema = Type.Object(
  {
    checked_at: Timestamp,
    products: Type.Integer({ description: 'How many were checked' }),
    drift_units: Type.Integer({ description: 'Over all products; 0 when everything adds up' }),
    drifting_products: Type.Integer(),
    drifts: Type.Array(ref(StockDriftSchema), {
      description: 'The 1,000 largest; empty when everything adds up',
    }),
  },
  {
    $id: 'InventoryAudit',
    'x-example-names': ['adds_up', 'drift'],
    examples: [
      {
        checked_at: '2026-01-02T03:04:05.678Z',
        products: 12,
        drift_units: 0,
        drifting_products: 0,
        drifts: [],
      },
      {
        checked_at: '2026-01-02T03:04:05.678Z',
        products: 12,
        drift_units: 2,
        drifting_products: 1,
        drifts: [
          {
            product_id: 1,
            sku: 'MUG-BLUE',
            on_hand: { stored: 5, ledger: 6 },
            reserved: { stored: 2, ledger: 2, orders: 1 },
            drift_units: 2,
          },
        ],
      },
    ],
  },
);

export const auditSchemas = [StockDriftSchema, InventoryAuditSchema];

export const auditInventory = {
  operationId: 'auditInventory',
  summary: 'Hold every counter of stock against the ledger and the open orders',
  description:
    'Recomputes what each product has on hand from its movements, and what is reserved of it both from its movements ' +
    'and from the orders that are PENDING or PAID, in one consistent snapshot, while orders run. Callers who ask at ' +
    'the same time share one run. 503 when it takes longer than 6 s; it then goes on, for up to 30 s, and its outcome ' +
    'is in the metric `inventory_drift_units`, which is also refreshed every five minutes.',
  tags,
  querystring: NoQuery,
  response: { 200: ref(InventoryAuditSchema) },
  problems: [422, 503],
} satisfies FastifySchema;
