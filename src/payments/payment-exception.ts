import type { ReviewReason } from './payment-rules.ts';

export const exceptionStatuses = ['OPEN', 'RESOLVED'] as const;
export type ExceptionStatus = (typeof exceptionStatuses)[number];

/**
 * What a person has done about money that bought nothing. No resolution moves an order or any money; the last one of an
 * order accepts the difference of its sums.
 */
export const resolutions = {
  refunded: 'the money went back to the customer',
  accepted:
    'the money, or the refund, is right as it is; move the order by PUT /orders/{id} where it should move',
  written_off: 'nothing more will be done about it',
  other: 'what the note says',
} as const;
export type Resolution = keyof typeof resolutions;
/** `settled`: the sums of the order agreed again, by themselves. No person says so. */
export type ExceptionResolution = Resolution | 'settled';

export interface ExceptionFilter {
  status: ExceptionStatus | undefined;
  reason: ReviewReason | undefined;
  order_id: number | undefined;
  created_from: string | undefined;
  created_to: string | undefined;
}
