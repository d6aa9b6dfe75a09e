import type { OrderStatus } from '../orders/order-state.ts';
import type { ReviewReason } from './payment-rules.ts';

/**
 * What an event says of one payment of its provider. The figure of a payment is all that was captured, or refunded, of it
 * so far: an event that comes late, or twice, adds nothing. The figure of a refund adds up with those of the others.
 */
export interface PaymentFigure {
  /** What the provider calls the payment. */
  paymentId: string;
  /** The refund that the amount is of; undefined where it is of the whole payment so far. */
  refundId: string | undefined;
}

/** A payment event, whose sender is verified, whichever provider it came from. */
export interface PaymentEvent {
  provider: string;
  /** With the type, what can be inserted once. It begins with the provider, but for the generic one. */
  identity: string;
  /** payment.succeeded, payment.failed, payment.refunded or payment.disputed; others are ignored. */
  type: string;
  /** Null in events of unused types that name no order, and where only the figure says which order it is. */
  orderId: number | null;
  /** Without a figure: the amount of this event alone. */
  amountCents: number | undefined;
  figure?: PaymentFigure;
  /** ISO 4217, upper case; undefined: that of the shop. */
  currency: string | undefined;
  /** Why it is acknowledged and has no effect whatever its type, such as an event of the provider's test mode. */
  ignored?: string;
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
