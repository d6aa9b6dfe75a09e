import type { OrderStatus } from '../orders/order-state.ts';
import type { ReviewReason } from './payment-rules.ts';

/** A payment event, whose sender is verified, whichever provider it came from. */
export interface PaymentEvent {
  provider: string;
  /** With the type, what can be inserted once. It begins with the provider, but for the generic one. */
  identity: string;
  /** payment.succeeded, payment.failed, payment.refunded or payment.disputed; others are ignored. */
  type: string;
  /** Null in events of unused types that name no order, and where only the provider's payment says which order it is. */
  orderId: number | null;
  /** What the provider calls the payment. */
  providerPaymentId: string | undefined;
  amountCents: number | undefined;
  /** In place of the amount of a refund: the sum of all refunds of the provider's payment so far. */
  refundedTotalCents: number | undefined;
  /** Upper case; undefined: that of the shop. */
  currency: string | undefined;
  /** Why it has no effect whatever its type, such as an event of the provider's test mode; undefined: it has one. */
  ignoredBecause: string | undefined;
  paymentMethod: string | undefined;
  /** How it was signed; recorded. */
  scheme: string;
  /** The X-Event-Id header: recorded, not signed, never trusted. */
  unsignedEventId: string | undefined;
  rawBody: Buffer;
  /** Applied again from the inbox: its provider has not sent it once more. */
  replayed: boolean;
  /** The refund whose own amount the amount is; several events may tell of one. */
  providerRefundId: string | undefined;
}

export type PaymentResult =
  | { status: 'processed'; order_id: number; new_status: OrderStatus }
  | { status: 'ignored'; order_id?: number; reason: string }
  | { status: 'review'; order_id: number; reason: ReviewReason; detail: string }
  | { status: 'already_processed'; order_id?: number; outcome: string };
