import { beforeAll, describe, expect, test } from 'vitest';

import { auditPayments } from '../../src/payments/payment-audit.repository.ts';
import { expectStockAddsUp } from '../support/invariants.ts';
import { permutationsOf, type Story, type StoryEvent, tell } from '../support/payment-oracle.ts';
import { expectOnlyLateRefusals, recordFailures, together, untilServed } from '../support/race.ts';
import { type Answer, type TestService, useSharedService } from '../support/service.ts';

/** Four pieces at 10.00. */
const TOTAL_CENTS = 4000;
const TOTAL = TOTAL_CENTS / 100;

const paid: StoryEvent = { name: 'paid', kind: 'succeeded', cents: TOTAL_CENTS };
const failed: StoryEvent = { name: 'failed', kind: 'failed' };
const paidTwice: StoryEvent = { name: 'paid-twice', kind: 'succeeded', cents: TOTAL_CENTS };

/** Chosen so that every rule meets every other: two payments, a wrong one, refunds whole and in part, and shipping. */
const FIVES: Record<string, StoryEvent[]> = {
  'a payment, a second one, a failure, a part and all of it back': [
    paid,
    paidTwice,
    failed,
    { name: 'part-back', kind: 'refunded', cents: 1000 },
    { name: 'all-back', kind: 'refunded', cents: TOTAL_CENTS },
  ],
  'a payment, one of a wrong amount, a failure, a part back and a refund without an amount': [
    { name: 'paid', kind: 'succeeded' },
    { name: 'too-little', kind: 'succeeded', cents: 3999 },
    failed,
    { name: 'part-back', kind: 'refunded', cents: 1 },
    { name: 'all-back', kind: 'refunded' },
  ],
  'a payment, shipping by staff, a failure, a second payment and all of it back': [
    paid,
    { name: 'ship', kind: 'ship' },
    failed,
    paidTwice,
    { name: 'all-back', kind: 'refunded', cents: TOTAL_CENTS },
  ],
};

describe.each(Object.entries(FIVES))('%s, in all 120 orders', (_name, five) => {
  const permutations = permutationsOf(five);
  const service = useSharedService();
  let productIds: number[];
  beforeAll(async () => {
    // Several, so that orders do not all wait for one row.
    productIds = await Promise.all(
      Array.from({ length: 8 }, async () => (await service.createProduct({ price: 10, stock: 1000 })).id),
    );
  });

  /** Places an order for each permutation, lets `arrive` bring its events, and tells what became of all of them. */
  async function stories(
    arrive: (send: (event: StoryEvent) => Promise<string>, events: readonly StoryEvent[]) => Promise<void>,
    atOnce: number,
  ): Promise<Story[]> {
    const failures = recordFailures(service);
    const refusals: Answer[] = [];
    const answered = await together(
      permutations.length,
      async (n) => {
        const { id } = await service.placeOrder(productIds[n % productIds.length] ?? 0, TOTAL / 10);
        const outcomes: Record<string, string> = {};
        const send = async (event: StoryEvent) => {
          const outcome = await bring(service, id, event, refusals);
          if (outcome === 'known') return outcome;
          // A second effect of one event would overwrite the first without this.
          expect(outcomes).not.toHaveProperty(event.name);
          outcomes[event.name] = outcome;
          return outcome;
        };
        await arrive(send, permutations[n] ?? []);
        return { id, outcomes };
      },
      atOnce,
    );
    expectOnlyLateRefusals(failures, refusals);
    const ends = await readEnds(
      service,
      answered.map(({ id }) => id),
    );
    return answered.map(({ id, outcomes }) => ({ ...(ends.get(id) as Omit<Story, 'outcomes'>), outcomes }));
  }

  const told = permutations.map((events) => tell(TOTAL_CENTS, events));

  test('one by one: each permutation ends as SPEC tells it', async () => {
    const found = await stories(async (send, events) => {
      for (const event of events) await send(event);
    }, 40);
    expect(found).toEqual(told);
  });

  test('one by one, each again right away and all again at the end: the same, and every repeat is known', async () => {
    const found = await stories(async (send, events) => {
      for (const [n, event] of events.entries()) {
        await send(event);
        for (const earlier of deliveriesAmong(events.slice(Math.max(0, n - 1), n + 1))) {
          expect(await send(earlier)).toBe('known');
        }
      }
      for (const event of deliveriesAmong(events).toReversed()) expect(await send(event)).toBe('known');
    }, 40);
    expect(found).toEqual(told);
  });

  test('all at once, each delivered twice: as in one of the 120 orders', async () => {
    const found = await stories(async (send, events) => {
      await Promise.all([...events, ...deliveriesAmong(events).toReversed()].map(send));
    }, 10);
    const legal = new Set(told.map(textOf));
    const illegal = found.filter((story) => !legal.has(textOf(story)));
    expect(illegal).toEqual([]);
    // A race that always ends the same way is none.
    expect(new Set(found.map(textOf)).size).toBeGreaterThan(3);
  });

  test('after all of them: one effect each, money that bought nothing is in the list, and the ledger adds up', async () => {
    expect(await auditPayments(service.own.db, 10), 'money in: held, or told').toMatchObject({ drifts: [] });
    expect(await service.database.query(UNTOLD), 'exceptions and their events').toEqual([]);
    expect(await service.database.query(REGRESSIONS), 'paid orders that a failure canceled').toEqual([]);
    const [count] = await service.database.query<{ events: number; orders: number }>(
      `select (select count(*)::int from inbound_deliveries) as events, (select count(*)::int from orders) as orders`,
    );
    const perOrder = deliveriesAmong(five).length;
    expect(count).toEqual({ events: 360 * perOrder, orders: 360 });
    await expectStockAddsUp(service.database);
  });
});

/** What can be delivered again; staff does not ship twice. */
function deliveriesAmong(events: readonly StoryEvent[]): StoryEvent[] {
  return events.filter(({ kind }) => kind !== 'ship');
}

async function bring(
  service: TestService,
  orderId: number,
  { name, kind, cents }: StoryEvent,
  refusals: Answer[],
): Promise<string> {
  if (kind === 'ship') {
    const ship = () => service.call('PUT', `/orders/${orderId}`, { status: 'SHIPPED' });
    const { status } = await untilServed(ship, refusals);
    return status === 200 ? 'shipped' : 'not possible';
  }
  const amount = cents === undefined ? {} : { amount: cents / 100 };
  const event = {
    event_type: `payment.${kind}`,
    order_id: orderId,
    event_id: `${name}-${orderId}`,
    ...amount,
  };
  const { status, body } = await untilServed(() => service.pay(event), refusals);
  expect(status).toBe(200);
  if (body.status === 'already_processed') return 'known';
  if (body.status === 'ignored') return 'ignored';
  return body.status === 'review' ? `review ${body.reason}` : `processed ${body.new_status}`;
}

type End = Omit<Story, 'outcomes'>;

/** How the orders stand now: what is stored, not what was answered. */
async function readEnds({ database }: TestService, ids: readonly number[]): Promise<Map<number, End>> {
  const rows = await database.query<{ id: string } & End>(
    `select o.id, o.status,
            array(select split_part(substr(p.identity, 7), '-' || o.id, 1) || ' ' || e.reason
                         || case e.status when 'RESOLVED' then ' settled' else '' end
                    from payment_exceptions e join inbound_deliveries p on p.id = e.payment_event_id
                   where e.order_id = o.id) as exceptions,
            array(select type from events
                   where aggregate_type = 'order' and aggregate_id = o.id and type like 'order.%' order by id) as steps
       from orders o where o.id = any($1)`,
    [ids],
  );
  return new Map(
    rows.map(({ id, exceptions, ...end }) => [Number(id), { ...end, exceptions: exceptions.toSorted() }]),
  );
}

function textOf({ status, outcomes, exceptions, steps }: Story): string {
  return JSON.stringify([
    status,
    Object.entries(outcomes)
      .map(([name, outcome]) => `${name} ${outcome}`)
      .toSorted(),
    exceptions,
    steps,
  ]);
}

/** One event when an exception is opened, and one more when it is resolved. */
const UNTOLD = `
  select e.id, e.status, told.types
    from payment_exceptions e
    cross join lateral (
      select string_agg(type, ',' order by id) as types
        from events where aggregate_type = 'payment_exception' and aggregate_id = e.id
    ) told
   where told.types is distinct from case e.status
           when 'OPEN' then 'payment.review_required'
           else 'payment.review_required,payment.review_resolved' end`;

const REGRESSIONS = `
  select aggregate_id from events
   where type = 'order.canceled' and payload->'transition'->>'cause' = 'payment.failed'
     and payload->'transition'->>'from' <> 'PENDING'`;
