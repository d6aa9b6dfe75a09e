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
  figure?: ProviderFigure;
  /** Why the event is acknowledged without an effect, whatever its type. */
  ignored?: string;
  /** Applied again from the inbox: its provider has not sent it once more. */
  replayed: boolean;
}

/** What an event says of one payment, as its provider names it. */
export interface ProviderFigure {
  paymentId: string;
  /**
   * The refund whose own amount this is: it adds up with those of the other refunds. Undefined where the amount is that of
   * the whole payment so far, which includes what earlier events have said.
   */
  refundId: string | undefined;
  currency: string;
}

export type PaymentResult =
  | { status: 'processed'; order_id: number; new_status: OrderStatus }
  | { status: 'ignored'; order_id?: number; reason: string }
  | { status: 'review'; order_id: number; reason: ReviewReason; detail: string }
  | { status: 'already_processed'; order_id?: number; outcome: string };
