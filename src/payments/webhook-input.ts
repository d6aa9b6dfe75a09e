import type { Static } from '@sinclair/typebox';

import { readJson, roundedNumber } from '../http/json-body.ts';
import { AppError, validationFailed } from '../lib/errors.ts';
import { toCents } from '../lib/money.ts';
import type { PaymentEvent, SignedDelivery } from './payment-event.ts';
import { isPaymentEventType } from './payment-rules.ts';
import type { PaymentWebhookBody } from './webhook.schemas.ts';
import { eventIdentity } from './webhook-signature.ts';

/*
 * From the bytes of a signed delivery to a payment event: for the webhook itself, and for the inbox, which does the same
 * again with what failed.
 */

/** The numbers that decide something; how exact the others are is the provider's business. */
const DECIDING_NUMBERS = new Set(['/amount', '/order_id']);

/** @throws AppError malformed_request, or validation_failed for an amount or an order that the parser has rounded */
export function parsePayment(rawBody: Buffer): unknown {
  const { value, rounded } = readJson(rawBody);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const members: Record<string, unknown> = { ...value };
  const { event_type } = members;
  const isUsed = typeof event_type !== 'string' || isPaymentEventType(event_type);
  if (!isUsed) return withoutUnused(members);
  const deciding = rounded.filter((pointer) => DECIDING_NUMBERS.has(pointer));
  if (deciding.length > 0) throw validationFailed(deciding.map(roundedNumber));
  return withoutUnrecorded(members);
}

/** The same for a delivery that may be the copy of a known event: then what is wrong with it does not matter. */
export function tryParsePayment(rawBody: Buffer): { body?: unknown; fault?: AppError } {
  try {
    return { body: parsePayment(rawBody) };
  } catch (error) {
    if (error instanceof AppError) return { fault: error };
    throw error;
  }
}

/**
 * A field that is only recorded never refuses money. A payment_method that cannot be recorded is left out, and so is an
 * event_id of null, which identifies nothing. The raw body keeps them.
 */
function withoutUnrecorded(members: Record<string, unknown>): Record<string, unknown> {
  const { event_id, payment_method, ...rest } = members;
  return {
    ...rest,
    ...(event_id === undefined || event_id === null ? {} : { event_id }),
    ...(isText(payment_method, 100) ? { payment_method } : {}),
  };
}

/**
 * An event of a type that is not used is acknowledged, whatever else is in it: its provider would otherwise send it for
 * days. So only what identifies it is held against the schema.
 */
function withoutUnused({ event_type, order_id, event_id }: Record<string, unknown>): Record<string, unknown> {
  return {
    event_type,
    ...(isId(order_id) ? { order_id } : {}),
    ...(isText(event_id, 255) ? { event_id } : {}),
  };
}

export function toPaymentEvent(
  { event_type, order_id, event_id, amount, payment_method }: Static<typeof PaymentWebhookBody>,
  { rawBody, scheme, webhookId, unsignedEventId }: SignedDelivery,
  replayed: boolean,
): PaymentEvent {
  return {
    identity: eventIdentity(event_id, webhookId, rawBody),
    type: event_type,
    orderId: order_id ?? null,
    amountCents: amount === undefined ? undefined : toCents(amount),
    paymentMethod: payment_method ?? undefined,
    unsignedEventId,
    scheme,
    rawBody,
    replayed,
  };
}

/** What a signed body says of itself, as far as it can be stored; the body may be anything, or not even parsed. */
export function describePayment(body: unknown, { rawBody, webhookId }: SignedDelivery) {
  const members: Record<string, unknown> = typeof body === 'object' && body !== null ? { ...body } : {};
  const { event_id, event_type, order_id } = members;
  return {
    identity: eventIdentity(isText(event_id, 255) ? event_id : undefined, webhookId, rawBody),
    eventType: isText(event_type, 100) ? event_type : null,
    orderId: isId(order_id) ? order_id : null,
  };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** As the schema has it: 1 to so many code points, without NUL and lone surrogates. */
function isText(value: unknown, maxLength: number): value is string {
  if (typeof value !== 'string' || value === '') return false;
  return !value.includes('\0') && !/\p{Surrogate}/u.test(value) && Array.from(value).length <= maxLength;
}
