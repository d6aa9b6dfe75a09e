import type { IncomingHttpHeaders } from 'node:http';

import { type Static, Type } from '@sinclair/typebox';
import type { FastifySchema } from 'fastify';

import { readJson, roundedNumber } from '../../http/json-body.ts';
import { NoQuery, ref, text } from '../../http/schemas.ts';
import { validationFailed } from '../../lib/errors.ts';
import type { PaymentEvent } from '../../payments/payment-event.ts';
import { isObject, isText, membersOf } from '../payload.ts';
import {
  type Description,
  PAYMENT_EVENT_BYTES,
  type Provider,
  type SignedMessage,
  type Unverified,
} from '../provider.ts';
import { PaymentWebhookResult } from '../webhook.schemas.ts';
import { eventIdentity, verifyStripeSignature } from '../webhook-signature.ts';

/*
 * Stripe (docs.stripe.com/webhooks). What its events mean is not always what their names say:
 *
 * - `charge.refunded` carries all that was refunded of a charge so far, `refund.*` one refund. An endpoint may get both.
 * - `payment_intent.payment_failed` is one attempt: the customer may try again with another card. Only a payment intent
 *   that is canceled has failed.
 * - A refund is money only once its status is `succeeded`; `refund.updated` says so for slow ones.
 * - Amounts are in the smallest unit of their currency, as Stripe has it.
 * - `metadata.order_id` is set by the shop, often from what a buyer sends: a claim, no proof.
 *
 * The signature is checked by code of this service. Stripe's library does the same, but it also parses the body, throws
 * one kind of error for every fault, and takes 23 MB; the tests sign with it and compare its verdicts with these.
 */

/** The events that are used: what each means, and the member of its object that holds the amount. */
const USED = {
  'payment_intent.succeeded': { type: 'payment.succeeded', amount: 'amount_received' },
  'payment_intent.canceled': { type: 'payment.failed', amount: 'amount' },
  'charge.refunded': { type: 'payment.refunded', amount: 'amount_refunded' },
  'refund.created': { type: 'payment.refunded', amount: 'amount' },
  'refund.updated': { type: 'payment.refunded', amount: 'amount' },
  'refund.failed': { type: 'payment.refunded', amount: 'amount' },
  // refund.updated under the name that it had before 2024.
  'charge.refund.updated': { type: 'payment.refunded', amount: 'amount' },
  'charge.dispute.created': { type: 'payment.disputed', amount: 'amount' },
} as const;
type UsedType = keyof typeof USED;
type AmountName = (typeof USED)[UsedType]['amount'];

/** The most that Stripe takes: twelve digits. It also keeps amounts of the currencies without decimals exact in cents. */
const MAX_MINOR_UNITS = 999_999_999_999;
const MinorUnits = Type.Integer({ minimum: 0, maximum: MAX_MINOR_UNITS });
const Id = text(1, 255, { 'x-text': 'exact' });

const StripeObject = Type.Object(
  {
    id: Type.Optional(Id),
    amount: Type.Optional(MinorUnits),
    amount_received: Type.Optional(MinorUnits),
    amount_refunded: Type.Optional(MinorUnits),
    currency: Type.Optional(Type.String({ pattern: '^[a-z]{3}$' })),
    status: Type.Optional(Type.String()),
    payment_intent: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 255 })),
    charge: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 255 })),
    metadata: Type.Optional(Type.Object({ order_id: Type.Optional(Type.String()) })),
    payment_method_types: Type.Optional(Type.Array(Type.String())),
  },
  { additionalProperties: true },
);

export const StripeWebhookBody = Type.Object(
  {
    id: Type.Optional(Id),
    type: text(1, 100, { 'x-text': 'exact' }),
    livemode: Type.Optional(Type.Boolean()),
    data: Type.Optional(Type.Object({ object: StripeObject }, { additionalProperties: true })),
  },
  {
    $id: 'StripeWebhook',
    additionalProperties: true,
    allOf: (['amount', 'amount_received', 'amount_refunded'] as const).map(requireAmount),
    description:
      'A Stripe event. Used are ' +
      `${Object.keys(USED).join(', ')}; the others are answered with ignored, whatever they hold. ` +
      'The order is the one of the payment intent, when that is known, else `metadata.order_id`',
    'x-example-names': ['succeeded', 'refunded', 'disputed'],
    examples: [
      example('evt_3MtwBwLkdIwHu7ix0snN0B15', 'payment_intent.succeeded', {
        id: 'pi_3MtwBwLkdIwHu7ix28a3tqPa',
        amount_received: 5998,
        currency: 'usd',
        metadata: { order_id: '1' },
      }),
      example('evt_3MtwBwLkdIwHu7ix0pTmKJ9c', 'charge.refunded', {
        id: 'ch_3MtwBwLkdIwHu7ix2rLp5vTz',
        amount_refunded: 5998,
        currency: 'usd',
        payment_intent: 'pi_3MtwBwLkdIwHu7ix28a3tqPa',
      }),
      example('evt_1MtJUULkdIwHu7ixSaYkXrZb', 'charge.dispute.created', {
        id: 'du_1MtJUT2eZvKYlo2CNaw2HvEv',
        amount: 5998,
        currency: 'usd',
        payment_intent: 'pi_3MtwBwLkdIwHu7ix28a3tqPa',
      }),
    ],
  },
);
type StripeWebhook = Static<typeof StripeWebhookBody>;

function example(id: string, type: UsedType, object: object) {
  return { id, object: 'event', type, livemode: true, data: { object } };
}

/** What the events that hold their amount in this member must have. */
function requireAmount(amount: AmountName) {
  const types = Object.entries(USED).flatMap(([type, used]) => (used.amount === amount ? [type] : []));
  const given = Type.Unknown();
  const object = Type.Object({ id: given, currency: given, [amount]: given }, { additionalProperties: true });
  const data = Type.Object({ object }, { additionalProperties: true });
  const event = Type.Object({ id: given, livemode: given, data }, { additionalProperties: true });
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  return { if: { properties: { type: { enum: types } } }, then: event };
}

const receiveStripeEvent = {
  operationId: 'receiveStripeEvent',
  summary: 'Receive a Stripe event',
  description:
    'Set STRIPE_WEBHOOK_SECRET to switch it on; without it the answer is 404. `Stripe-Signature` is checked as Stripe’s ' +
    'own library does, over the raw body; its timestamp may be 5 minutes off. Events of the other mode than ' +
    'STRIPE_LIVEMODE are ignored. What an event does is the same as for POST /webhooks/payment.',
  tags: ['Webhooks'],
  security: [{ stripeSignature: [] }],
  querystring: NoQuery,
  body: ref(StripeWebhookBody),
  response: { 200: ref(PaymentWebhookResult) },
  problems: [400, 401, 403, 'stale_signature', 'provider_off', 'order_not_found', 413, 415, 422, 503],
} satisfies FastifySchema;

export interface StripeOptions {
  /** Stripe's endpoint secrets, `whsec_…`. Their literal bytes are the key. */
  secrets: readonly string[];
  /** Whether this service takes real money; events of the other mode are ignored. */
  livemode: boolean;
}

export function createStripeProvider({ secrets, livemode }: StripeOptions): Provider {
  return {
    name: 'stripe',
    path: '/webhooks/stripe',
    schemes: ['stripe-signature'],
    bodyLimitBytes: PAYMENT_EVENT_BYTES,
    ...(secrets.length === 0 ? { off: 'Stripe is off: STRIPE_WEBHOOK_SECRET is not set' } : {}),
    schema: receiveStripeEvent,
    verify: (headers, rawBody, nowMs) => verify(headers, rawBody, secrets, nowMs),
    parse: parseStripe,
    read: (body, message) => toPaymentEvent(body as StripeWebhook, message, livemode),
    describe: describeStripe,
  };
}

function verify(
  headers: IncomingHttpHeaders,
  rawBody: Buffer,
  secrets: readonly string[],
  nowMs: number,
): SignedMessage | Unverified {
  const { 'stripe-signature': header } = headers;
  // Node joins a repeated header with commas and a space, and gives a list for others only.
  const verdict = verifyStripeSignature(Array.isArray(header) ? '' : header, rawBody, secrets, nowMs);
  if (verdict === 'missing' || verdict === 'stale') return verdict;
  if (verdict === 'invalid') return 'forged';
  return { rawBody, scheme: verdict, webhookId: undefined, unsignedEventId: undefined };
}

/** @throws AppError malformed_request, or validation_failed for an amount that the parser has rounded */
function parseStripe(rawBody: Buffer): unknown {
  const { value, rounded } = readJson(rawBody);
  if (!isObject(value)) return value;
  const { id, type } = value;
  if (typeof type !== 'string') return value;
  if (!isUsed(type)) return { type, ...(isId(id) ? { id } : {}) };
  const amountAt = `/data/object/${USED[type].amount}`;
  if (rounded.includes(amountAt)) throw validationFailed([roundedNumber(amountAt)]);
  return withoutUnrecorded(value);
}

/** A field that is only recorded, or only helps to find the order, never refuses money. The raw body keeps it. */
function withoutUnrecorded(event: Record<string, unknown>): Record<string, unknown> {
  const { object } = membersOf(event['data']);
  if (!isObject(object)) return event;
  const { metadata, payment_method_types, payment_intent, charge, status, ...deciding } = object;
  const { order_id } = membersOf(metadata);
  const methods: unknown[] = Array.isArray(payment_method_types) ? payment_method_types : [];
  return {
    ...event,
    data: {
      object: {
        ...deciding,
        metadata: isText(order_id, 16) ? { order_id } : {},
        payment_method_types: methods.filter((method) => isText(method, 100)),
        payment_intent: isId(payment_intent) ? payment_intent : null,
        charge: isId(charge) ? charge : null,
        ...(isText(status, 100) ? { status } : {}),
      },
    },
  };
}

/** The body was held against the schema by the caller. */
function toPaymentEvent(body: StripeWebhook, message: SignedMessage, livemode: boolean): PaymentEvent {
  const { rawBody, scheme } = message;
  const { identity, orderId } = describeStripe(body, message);
  const delivery = {
    provider: 'stripe',
    identity,
    scheme,
    rawBody,
    unsignedEventId: undefined,
    replayed: false,
  };
  const nothing = { amountCents: undefined, paymentMethod: undefined, currency: undefined };
  const plain = { ...delivery, ...nothing, type: meaningOf(body.type), orderId };
  if (!isUsed(body.type)) return plain;
  if (body.livemode !== livemode) {
    const [sent, taken] = livemode ? ['test', 'live'] : ['live', 'test'];
    return {
      ...plain,
      orderId: null,
      ignored: `This is an event of Stripe’s ${sent} mode, and only ${taken} events are used`,
    };
  }
  const object: Static<typeof StripeObject> = body.data?.object ?? {};
  const isRefund = body.type.includes('refund.');
  if (isRefund && object.status !== 'succeeded') {
    return { ...plain, ignored: `The refund is ${object.status ?? 'pending'}` };
  }
  const { amount } = USED[body.type];
  const currency = (object.currency ?? '').toUpperCase();
  const amountCents = toCents(object[amount] ?? 0, currency);
  const paymentId =
    (body.type.startsWith('payment_intent.') ? object.id : (object.payment_intent ?? object.charge)) ??
    object.id ??
    '';
  const refundId = isRefund ? object.id : undefined;
  return {
    ...plain,
    amountCents,
    currency,
    paymentMethod: object.payment_method_types?.[0],
    figure: { paymentId, refundId },
  };
}

// docs.stripe.com/currencies. Stripe takes ISK and UGX with two decimals although they have none.
const NO_DECIMALS = new Set('BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF'.split(' '));
const THREE_DECIMALS = new Set('BHD JOD KWD OMR TND'.split(' '));

/** Hundredths, which are cents here whatever the currency; undefined for what is finer than that. */
function toCents(minorUnits: number, currency: string): number | undefined {
  if (NO_DECIMALS.has(currency)) return minorUnits * 100;
  if (!THREE_DECIMALS.has(currency)) return minorUnits;
  return minorUnits % 10 === 0 ? minorUnits / 10 : undefined;
}

const ORDER_ID = /^[1-9]\d{0,15}$/;

function describeStripe(body: unknown, { rawBody }: SignedMessage): Description {
  const { id, type, data } = membersOf(body);
  const { metadata } = membersOf(membersOf(data)['object']);
  const { order_id } = membersOf(metadata);
  const orderId = isText(order_id, 16) && ORDER_ID.test(order_id) ? Number(order_id) : 0;
  return {
    identity: `stripe:${isId(id) ? id : eventIdentity(undefined, undefined, rawBody)}`,
    eventType: isText(type, 100) ? meaningOf(type) : null,
    // What is no id of an order may be one of another shop on the same account.
    orderId: orderId > 0 && Number.isSafeInteger(orderId) ? orderId : null,
  };
}

/** The type of an event as orders know it; that of an unused one stays. */
function meaningOf(type: string): string {
  return isUsed(type) ? USED[type].type : type;
}

function isUsed(type: string): type is UsedType {
  return Object.hasOwn(USED, type);
}

function isId(value: unknown): value is string {
  return isText(value, 255);
}
