import {
  type Answer,
  expectStatus,
  type OrderStatus,
  type ServiceClient,
} from '../support/service-client.ts';
import { type PaymentEvent, signWebhook } from '../support/sign-webhook.ts';
import { together } from '../support/together.ts';
import { Books, type DrillProduct, historyOf, type StoredOrder } from './books.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { type Ground, openGround } from './ground.ts';
import { answerTo, describe } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * A round is a few orders, each paid, failed, or paid and refunded. Every event is delivered many times at once, to
 * whichever instance, and all of them once more at the end, as a provider does that never got its answer.
 */
const ORDERS = 12;
const DELIVERIES = 10;

const ONE_EFFECT = 'one effect per event';
const ALL_ANSWERED = 'every delivery is answered 200';

/** The events of an order, and the states that they must lead it through. */
const STORIES = [
  { events: ['payment.succeeded'], states: ['PENDING', 'PAID'] },
  { events: ['payment.failed'], states: ['PENDING', 'CANCELED'] },
  { events: ['payment.succeeded', 'payment.refunded'], states: ['PENDING', 'PAID', 'CANCELED'] },
] as const satisfies { events: string[]; states: OrderStatus[] }[];

type Story = (typeof STORIES)[number];
type Delivered = Answer<{ status?: string } | undefined>;

export const doubleWebhook: Drill = {
  title: 'every payment event is delivered many times at once',
  defaults: { rounds: 25, clients: 50 },
  control: {
    breaks: ONE_EFFECT,
    how: 'a handler that looks whether it knows the event, and has nothing that can be inserted only once',
  },
  async run(run) {
    const verdict = new Verdict([ONE_EFFECT, STOCK_ADDS_UP, ALL_ANSWERED, NO_DRIFT]);
    const ground = await openGround(run, { fault: 'no-gate' });
    const [reader] = ground.services as [ServiceClient];
    const books = new Books(reader, verdict);
    for (const round of run.rounds()) {
      const product = await books.createProduct(ORDERS);
      const orders = await placeOrders(run, ground, product);
      for (const turn of [0, 1]) {
        const events = orders.flatMap(({ id, total, story }) => {
          const type: string | undefined = story.events[turn];
          return type === undefined ? [] : [paymentEvent(type, id, total)];
        });
        const known = await deliverAll(run, ground, events, DELIVERIES);
        judgeDeliveries(verdict, known, 1);
        judgeDeliveries(verdict, await deliverAll(run, ground, events, 1), 0);
        verdict.count('events', events.length);
        verdict.count('deliveries', events.length * (DELIVERIES + 1));
      }
      for (const { id, story } of orders) {
        const states = (await historyOf(reader, id)).map(({ to }) => to);
        verdict.expect(
          ONE_EFFECT,
          states.join() === story.states.join(),
          () => `order ${id} went through ${states.join(', ')}`,
        );
      }
      await books.checkStock(product);
      await books.checkDrift();
      const { events = 0, deliveries = 0 } = verdict.figures;
      run.progress(`round ${round}: ${events} events in ${deliveries} deliveries`);
    }
    await books.close(ground.own === undefined);
    return verdict;
  },
};

type ToldOrder = StoredOrder & { story: Story };

function placeOrders(run: DrillRun, { services }: Ground, { id }: DrillProduct): Promise<ToldOrder[]> {
  return together(
    ORDERS,
    async (index) => {
      const site = services[index % services.length] as ServiceClient;
      const answer = await site.call<StoredOrder>('POST', '/orders', {
        body: { product_id: id, quantity: 1 },
      });
      const story = STORIES[index % STORIES.length] as Story;
      return { ...expectStatus(answer, 201).body, story };
    },
    run.clients,
  );
}

export function paymentEvent(type: string, orderId: number, amount: number): PaymentEvent {
  return { event_type: type, event_id: `drill-${type}-${orderId}`, order_id: orderId, amount };
}

/** @returns the answers to each event */
async function deliverAll(
  { clients }: DrillRun,
  { attacked, webhookSecret }: Ground,
  events: readonly PaymentEvent[],
  times: number,
): Promise<Delivered[][]> {
  // One event's deliveries follow each other, so that they are under way together.
  const answers = await together<Delivered>(
    events.length * times,
    (index) => {
      const event = events[Math.floor(index / times)] as PaymentEvent;
      const site = attacked[index % attacked.length] as ServiceClient;
      const webhook = { ...signWebhook(event, webhookSecret), withoutApiKey: true };
      return answerTo(site.call('POST', '/webhooks/payment', webhook));
    },
    clients,
  );
  return events.map((_, index) => answers.slice(index * times, (index + 1) * times));
}

/** @param effects how many deliveries of one event must say that they had an effect */
function judgeDeliveries(verdict: Verdict, known: readonly Delivered[][], effects: number): void {
  for (const answers of known) {
    for (const answer of answers) {
      verdict.expect(ALL_ANSWERED, answer.status === 200, () => describe(answer));
    }
    const said = answers.filter(({ body }) => body?.status === 'processed').length;
    verdict.expect(
      ONE_EFFECT,
      said === effects,
      () => `${said} of ${answers.length} deliveries were processed: ${answers[0]?.request.body}`,
    );
  }
}
