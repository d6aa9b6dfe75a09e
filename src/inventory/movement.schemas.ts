import { Type } from '@sinclair/typebox';

import { Id, oneOf, ref, Timestamp } from '../http/schemas.ts';
import { movementKinds } from './stock-book.ts';

const NullableText = Type.Union([Type.String(), Type.Null()]);

export const movementExample = {
  id: 4,
  product_id: 1,
  kind: 'adjusted',
  delta: -2,
  on_hand_after: 98,
  reserved_after: 3,
  order_id: null,
  actor: 'anonymous',
  request_id: 'BTBf4LRhayFa-2',
  reason: 'damaged',
  note: 'Fell off the shelf',
  created_at: '2026-01-02T03:04:05.678Z',
};

export const MovementKindSchema = oneOf(movementKinds, {
  $id: 'StockMovementKind',
  description:
    'received and adjusted change what is on hand, reserved and released what orders hold, shipped both',
});

export const MovementSchema = Type.Object(
  {
    id: Id,
    product_id: Id,
    kind: ref(MovementKindSchema),
    delta: Type.Integer({ description: 'The change of the counter that the kind names; never 0' }),
    on_hand_after: Type.Integer(),
    reserved_after: Type.Integer(),
    order_id: Type.Union([Id, Type.Null()], { description: 'Of reserved, released and shipped' }),
    actor: Type.String(),
    request_id: NullableText,
    reason: NullableText,
    note: NullableText,
    created_at: { ...Timestamp, description: 'When its transaction began' },
  },
  { $id: 'StockMovement', examples: [movementExample] },
);

export const movementSchemas = [MovementKindSchema, MovementSchema];
