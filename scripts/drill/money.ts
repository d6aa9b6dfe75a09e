import { type Answer, expectStatus, type ServiceClient } from '../support/service-client.ts';
import { type PaymentEvent, signWebhook } from '../support/sign-webhook.ts';
import { together } from '../support/together.ts';
import { Books, type StoredOrder } from './books.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { type Ground, openGround } from './ground.ts';
import { answerTo, describe } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * A round is an order for each story of money below. All events of an order are under way at once, each of them twice and
 * to whichever instance, so that they arrive in any order. Then each order must hold the sums of its events, whatever the
 * order was; and where it does not hold what it should, an exception or a due refund says so.
 */
const MONEY_ADDS_UP = 'captured and refunded = the events';
const NOTHING_SILENT = 'held = due, or the list says so';
const LEDGER_AGREES = 'the ledger of money adds up';
const ALL_ANSWERED = 'every delivery is answered 200';

type Part = 'all' | 'half';
type Told = readonly ['succeeded' | 'refunded' | 'failed', Part];

const STORIES: readonly (readonly Told[])[] = [
  [['succeeded', 'all']],
  // Paid twice, and one payment sent back: the order stays paid.
  [
    ['succeeded', 'all'],
    ['succeeded', 'all'],
    ['refunded', 'all'],
  ],
  // Two refunds and one payment: the payment settles one of them, not both.
  [
    ['refunded', 'all'],
    ['refunded', 'all'],
    ['succeeded', 'all'],
  ],
  [
    ['succeeded', 'half'],
    ['succeeded', 'half'],
  ],
  [
    ['succeeded', 'all'],
    ['refunded', 'half'],
    ['refunded', 'half'],
  ],
  [
    ['succeeded', 'half'],
    ['failed', 'all'],
    ['refunded', 'half'],
  ],
  [
    ['succeeded', 'all'],
    ['succeeded', 'half'],
    ['refunded', 'half'],
    ['failed', 'all'],
  ],
  [
    ['succeeded', 'all'],
    ['succeeded', 'all'],
    ['refunded', 'all'],
    ['refunded', 'all'],
    ['failed', 'all'],
  ],
];
const DELIVERIES = 2;

interface PaidOrder extends StoredOrder {
  amount_paid: number;
  amount_refunded: number;
  refund_due?: true;
}

interface Case {
  orderId: number;
  events: PaymentEvent[];
}

export const money: Drill = {
  title: 'payments, second payments, refunds and failures of one order arrive at once, in any order',
  defaults: { rounds: 60, clients: 50 },
  control: {
    breaks: NOTHING_SILENT,
    how: 'a handler that decides by the state of the order alone: it keeps the sums, and never asks what is held',
  },
  async run(run) {
    const verdict = new Verdict([
      MONEY_ADDS_UP,
      NOTHING_SILENT,
      LEDGER_AGREES,
      ALL_ANSWERED,
      STOCK_ADDS_UP,
      NO_DRIFT,
    ]);
    const ground = await openGround(run, { fault: 'by-state' });
    const [reader] = ground.services as [ServiceClient];
    const books = new Books(reader, verdict);
    for (const round of run.rounds()) {
      // Two pieces each, so that a half is a price.
      const product = await books.createProduct(STORIES.length * 2);
      const cases = await placeOrders(run, ground, product.id);
      await deliverAll(run, ground, cases, verdict);
      await together(cases.length, (index) => judge(reader, cases[index] as Case, verdict), run.clients);
      await books.checkStock(product);
      await books.checkDrift();
      const { events = 0, deliveries = 0 } = verdict.figures;
      run.progress(`round ${round}: ${events} events in ${deliveries} deliveries`);
    }
    await checkLedger(reader, verdict);
    await books.close(ground.own === undefined);
    return verdict;
  },
};

function placeOrders(run: DrillRun, { services }: Ground, productId: number): Promise<Case[]> {
  return together(
    STORIES.length,
    async (index) => {
      const site = services[index % services.length] as ServiceClient;
      const body = { product_id: productId, quantity: 2 };
      const answer = await site.call<StoredOrder>('POST', '/orders', { body });
      const { id: orderId, total } = expectStatus(answer, 201).body;
      const events = (STORIES[index] ?? []).map(([kind, part], number) => ({
        event_type: `payment.${kind}`,
        event_id: `drill-money-${orderId}-${number}`,
        order_id: orderId,
        amount: part === 'all' ? total : total / 2,
      }));
      return { orderId, events };
    },
    run.clients,
  );
}

async function deliverAll(
  { clients }: DrillRun,
  { attacked, webhookSecret }: Ground,
  cases: readonly Case[],
  verdict: Verdict,
): Promise<void> {
  const deliveries = shuffled(
    cases.flatMap(({ events }) => Array(DELIVERIES).fill(events).flat() as PaymentEvent[]),
  );
  const answers = await together<Answer>(
    deliveries.length,
    (index) => {
      const site = attacked[index % attacked.length] as ServiceClient;
      const webhook = {
        ...signWebhook(deliveries[index] as PaymentEvent, webhookSecret),
        withoutApiKey: true,
      };
      return answerTo(site.call('POST', '/webhooks/payment', webhook));
    },
    clients,
  );
  for (const answer of answers) verdict.expect(ALL_ANSWERED, answer.status === 200, () => describe(answer));
  verdict.count('events', deliveries.length / DELIVERIES);
  verdict.count('deliveries', deliveries.length);
}

/** Another order of arrival each time. */
function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((entry) => ({ entry, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ entry }) => entry);
}

async function judge(reader: ServiceClient, { orderId, events }: Case, verdict: Verdict): Promise<void> {
  const order = expectStatus(await reader.call<PaidOrder>('GET', `/orders/${orderId}`), 200).body;
  const list = `/payments/exceptions?status=OPEN&order_id=${orderId}`;
  const open = expectStatus(await reader.call<object[]>('GET', list), 200).body.length;
  const sumOf = (type: string) =>
    cents(events.reduce((sum, event) => sum + (event.event_type === type ? (event.amount ?? 0) : 0), 0));
  const [came, wentBack] = [sumOf('payment.succeeded'), sumOf('payment.refunded')];
  const told = () =>
    `order ${orderId} is ${order.status} at ${order.total}: ${order.amount_paid} came, ${order.amount_refunded} went back, ` +
    `${open} exceptions are open`;
  const addsUp = cents(order.amount_paid) === came && cents(order.amount_refunded) === wentBack;
  verdict.expect(
    MONEY_ADDS_UP,
    addsUp,
    () => `${told()}; the events say ${came / 100} and ${wentBack / 100}`,
  );
  const due = order.status === 'PAID' || order.status === 'SHIPPED' ? cents(order.total) : 0;
  const isRight = came - wentBack === due;
  verdict.expect(NOTHING_SILENT, isRight !== (open > 0 || order.refund_due === true), told);
}

const cents = (amount: number) => Math.round(amount * 100);

async function checkLedger(reader: ServiceClient, verdict: Verdict): Promise<void> {
  const answer = await reader.call<{ drift_cents: number; drifts: unknown[] }>('GET', '/payments/audit');
  const { drift_cents, drifts } = expectStatus(answer, 200).body;
  verdict.expect(
    LEDGER_AGREES,
    drift_cents === 0 && drifts.length === 0,
    () => `the audit of payments finds ${drift_cents} cents adrift`,
  );
}
