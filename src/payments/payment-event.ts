import type { OrderStatus } from '../orders/order-state.ts';
import type { ReviewReason } from './payment-rules.ts';
import type { SignatureScheme } from './webhook-signature.ts';

/** A delivery whose signature was verified, before anything in it is read. */
export interface SignedDelivery {
  rawBody: Buffer;
  scheme: SignatureScheme;
  /** The signed webhook-id header; undefined under the scheme that does not sign it. */
  webhookId: string | undefined;
  /** The X-Event-Id header: recorded, not signed, never trusted. */
  unsignedEventId: string | undefined;
}

/** A verified delivery of a payment event. */
export interface PaymentEvent {
  /** See `eventIdentity`: what can be inserted once. */
  identity: string;
  type: string;
  /** Null in events of unused types that name no order. */
  orderId: number | null;
  amountCents: number | undefined;
  paymentMethod: string | undefined;
  scheme: SignatureScheme;
  /** The X-Event-Id header: recorded, not signed, never trusted. */
  unsignedEventId: string | undefined;
  rawBody: Buffer;
  /** Applied again from the inbox, not delivered. */
  replayed: boolean;
}

export type PaymentResult =
  | { status: 'processed'; order_id: number; new_status: OrderStatus }
  | { status: 'ignored'; order_id?: number; reason: string }
  | { status: 'review'; order_id: number; reason: ReviewReason; detail: string }
  | { status: 'already_processed'; order_id?: number; outcome: string };
