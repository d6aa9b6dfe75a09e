import { randomBytes } from 'node:crypto';

import { readArguments, runScript, ScriptFailure, UsageError } from './support/arguments.ts';
import { toCurlCommand } from './support/curl-command.ts';
import { ENVIRONMENT_USAGE, readEnvironment, type ScriptEnvironment } from './support/environment.ts';
import {
  type Answer,
  createServiceClient,
  expectStatus,
  type Order,
  type ServiceClient,
} from './support/service-client.ts';
import {
  type PaymentEvent,
  type SignedWebhook,
  signStandardWebhook,
  signWebhook,
} from './support/sign-webhook.ts';
import { signStripeEvent, toStripeEvent } from './support/stripe-event.ts';
import { paint } from './support/terminal.ts';

const USAGE = `Signs a payment event and sends it, like a payment provider.

  npm run pay -- --order 1                          the order is paid
  npm run pay -- --order 1 --event payment.failed   the payment failed
  npm run pay -- --order 1 --provider stripe        the same, as Stripe sends it

  --order <id>        the order that the event is about
  --event <type>      payment.succeeded (default), payment.failed, payment.refunded, or any other
  --provider <name>   generic (default), or stripe; signs with STRIPE_WEBHOOK_SECRET
  --amount <amount>   default: the order's total, which is asked for first
  --event-id <id>     default: a new one
  --replay            send the same event twice
  --bad-signature     sign with another secret; 403 is then the right answer
  --standard          the three headers of Standard Webhooks instead of X-Webhook-Signature
  --print-curl        print the curl command instead of sending

${ENVIRONMENT_USAGE}
Exit code: 0 when the event was taken, 1 when not, 2 for wrong arguments.
`;

const PATHS = { generic: '/webhooks/payment', stripe: '/webhooks/stripe' } as const;

await runScript(USAGE, async (args) => {
  const wanted = readWanted(args);
  const environment = readEnvironment();
  const client = createServiceClient(environment);
  const order =
    wanted.amount === undefined || wanted.provider === 'stripe'
      ? await orderOf(client, wanted.orderId)
      : undefined;
  const event = {
    event_type: wanted.eventType,
    event_id: wanted.eventId,
    order_id: wanted.orderId,
    amount: wanted.amount ?? order?.total ?? 0,
    payment_method: 'card',
  };
  const currency = order?.currency ?? 'USD';
  const signed = () => sign(event, wanted, environment, currency);
  if (wanted.printCurl) {
    process.stdout.write(toCurlCommand(`${client.baseUrl}${PATHS[wanted.provider]}`, signed()));
    return 0;
  }
  const expected = wanted.badSignature ? 403 : 200;
  for (let delivery = 1; delivery <= (wanted.replay ? 2 : 1); delivery++) {
    // Signed anew, as providers do: the scheme with a time in it needs the time of this delivery.
    const answer = await send(client, PATHS[wanted.provider], signed());
    requireOrder(answer, wanted.orderId);
    if (answer.status !== expected) return 1;
  }
  return 0;
});

interface Wanted {
  provider: keyof typeof PATHS;
  orderId: number;
  eventType: string;
  eventId: string;
  amount: number | undefined;
  replay: boolean;
  badSignature: boolean;
  standard: boolean;
  printCurl: boolean;
}

/** @throws UsageError */
function readWanted(args: string[]): Wanted {
  const values = readArguments(args, {
    order: { type: 'string' },
    event: { type: 'string', default: 'payment.succeeded' },
    provider: { type: 'string', default: 'generic' },
    amount: { type: 'string' },
    'event-id': { type: 'string' },
    replay: { type: 'boolean', default: false },
    'bad-signature': { type: 'boolean', default: false },
    standard: { type: 'boolean', default: false },
    'print-curl': { type: 'boolean', default: false },
  });
  const { order, amount, replay, provider } = values;
  if (order === undefined) throw new UsageError('Say which order: --order 1.');
  if (!/^[1-9]\d{0,15}$/.test(order) || !Number.isSafeInteger(Number(order))) {
    throw new UsageError(`--order takes the id of an order, not "${order}".`);
  }
  if (amount !== undefined && !/^\d{1,10}(\.\d{1,2})?$/.test(amount)) {
    throw new UsageError(`--amount takes an amount such as 59.98, not "${amount}".`);
  }
  if (provider !== 'generic' && provider !== 'stripe') {
    throw new UsageError(`--provider takes generic or stripe, not "${provider}".`);
  }
  if (provider === 'stripe' && values.standard) {
    throw new UsageError('--standard is of the generic provider: Stripe signs in its own way.');
  }
  if (replay && values['print-curl']) {
    throw new UsageError('--replay sends and --print-curl only prints: give one of them.');
  }
  return {
    provider,
    orderId: Number(order),
    eventType: values.event,
    eventId: values['event-id'] ?? `evt_${randomBytes(8).toString('hex')}`,
    amount: amount === undefined ? undefined : Number(amount),
    replay,
    badSignature: values['bad-signature'],
    standard: values.standard,
    printCurl: values['print-curl'],
  };
}

async function orderOf(client: ServiceClient, orderId: number): Promise<Order> {
  const answer = await client.call<Order>('GET', `/orders/${orderId}`);
  requireOrder(answer, orderId);
  return expectStatus(answer, 200).body;
}

/** @throws ScriptFailure for the service's own 404; one of anything else that answers there is shown whole */
function requireOrder({ body }: Answer, orderId: number): void {
  const { code } = (body ?? {}) as { code?: unknown };
  if (code === 'order_not_found') throw new ScriptFailure(`There is no order ${orderId}.`);
}

function sign(
  event: PaymentEvent,
  { provider, standard, badSignature }: Wanted,
  { webhookSecret, stripe }: ScriptEnvironment,
  currency: string,
): SignedWebhook {
  const right = provider === 'stripe' ? stripe.secret : webhookSecret;
  if (right === undefined) throw new UsageError('Set STRIPE_WEBHOOK_SECRET to the one that the service has.');
  const secret = badSignature ? `${right} of somebody else` : right;
  if (provider === 'stripe') {
    return signStripeEvent(toStripeEvent(event, { currency, livemode: stripe.livemode }), secret, Date.now());
  }
  return standard ? signStandardWebhook(event, secret, Date.now()) : signWebhook(event, secret);
}

/** Shows the whole exchange, because this script exists to show the signature. */
async function send(client: ServiceClient, path: string, webhook: SignedWebhook): Promise<Answer> {
  const answer = await client.call('POST', path, { ...webhook, withoutApiKey: true });
  const headers = Object.entries(webhook.headers).map(([name, value]) => paint('dim', `${name}: ${value}`));
  const style = answer.status === 200 ? 'green' : 'red';
  const lines = [
    paint('bold', `POST ${answer.request.url}`),
    ...headers,
    webhook.body,
    '',
    `${paint(style, String(answer.status))} in ${Math.round(answer.durationMs)} ms`,
    answer.text,
    '',
    '',
  ];
  process.stdout.write(lines.join('\n'));
  return answer;
}
