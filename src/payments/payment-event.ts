import type { OrderStatus } from '../orders/order-state.ts';
import type { ReviewReason } from './payment-rules.ts';

/** A payment event, whose sender is verified, whichever provider it came from. */
export interface PaymentEvent {
  /** What can be inserted once. */
  identity: string;
  type: string;
  /** Null in events of unused types that name no order. */
  orderId: number | null;
  amountCents: number | undefined;
  paymentMethod: string | undefined;
  /** How it was signed; recorded. */
  scheme: string;
  /** The X-Event-Id header: recorded, not signed, never trusted. */
  unsignedEventId: string | undefined;
  rawBody: Buffer;
  /** Applied again from the inbox: its provider has not sent it once more. */
  replayed: boolean;
}

export type PaymentResult =
  | { status: 'processed'; order_id: number; new_status: OrderStatus }
  | { status: 'ignored'; order_id?: number; reason: string }
  | { status: 'review'; order_id: number; reason: ReviewReason; detail: string }
  | { status: 'already_processed'; order_id?: number; outcome: string };
