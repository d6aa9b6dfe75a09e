import { setTimeout as sleep } from 'node:timers/promises';

import { type Answer, expectStatus, nextPath } from '../support/service-client.ts';
import { buyUnderKills, COMES_BACK } from './crash.ts';
import { CrashSite } from './crash-site.ts';
import type { Drill, DrillRun } from './drill.ts';
import { type DrillEvent, OutboxReceiver } from './outbox-receiver.ts';
import { Verdict } from './verdict.ts';

/*
 * Orders are placed, paid and canceled while the service, which also relays, and PostgreSQL are killed. Three receivers get every
 * event: one answers at once, one is slow, and one fails every fifth time. At the end, what they got is held against the log.
 */
const TYPES = ['order.created', 'order.paid', 'order.canceled'];
/** A lease of 30 s after the last kill, and retries of what failed several times in a row. */
const DELIVERY_MS = 180_000;
const POLL_MS = 250;

const ALL_ARRIVE = 'every event arrives at every endpoint';
const ALL_STORED = 'no event without its row';
const ALL_SIGNED = 'every delivery is signed';
const IN_ORDER = 'the events of an order arrive in its order';

export const outbox: Drill = {
  title: 'the relay and PostgreSQL are killed under load, and every event arrives',
  defaults: { rounds: 10, clients: 8 },
  needsOwnService: 'kills the service and its PostgreSQL',
  control: { breaks: ALL_STORED, how: 'a database with synchronous_commit = off' },
  async run(run) {
    const promises = [ALL_ARRIVE, ALL_STORED, ALL_SIGNED, IN_ORDER];
    const verdict = new Verdict([COMES_BACK, ...promises]);
    const site = await CrashSite.open(run, { ALLOW_INSECURE_ENDPOINTS: 'true' });
    const receivers = await openReceivers(run, site);
    const { fault } = await buyUnderKills(run, site, verdict);
    if (fault !== undefined) {
      for (const promise of [COMES_BACK, ...promises]) verdict.breach(promise, fault);
      return verdict;
    }
    run.progress('waiting for the last deliveries');
    await untilDelivered(site, run);
    account(verdict, await readLog(site), receivers);
    return verdict;
  },
};

async function openReceivers(run: DrillRun, site: CrashSite): Promise<OutboxReceiver[]> {
  const kinds = [
    { name: 'the quick one', delayMs: 0, failsEach: Number.POSITIVE_INFINITY },
    { name: 'the slow one', delayMs: 20, failsEach: Number.POSITIVE_INFINITY },
    { name: 'the failing one', delayMs: 0, failsEach: 5 },
  ];
  return Promise.all(
    kinds.map(async (kind) => {
      const receiver = await OutboxReceiver.open(kind, run.opened);
      const body = { url: receiver.url, types: TYPES };
      const answer = await site.client.call<{ secret: string }>('POST', '/webhook-endpoints', { body });
      receiver.secret = expectStatus(answer, 201).body.secret;
      return receiver;
    }),
  );
}

/** What is still pending after this has not arrived, and the account says so. */
async function untilDelivered(site: CrashSite, run: DrillRun): Promise<void> {
  const giveUpAt = performance.now() + DELIVERY_MS;
  let last = (await readLog(site)).length;
  while (performance.now() < giveUpAt) {
    const path = '/webhook-deliveries?status=pending&limit=1';
    const pending = expectStatus(await site.client.call<unknown[]>('GET', path), 200).body;
    const events = (await readLog(site)).length;
    // Twice the same: what was committed last has been copied to deliveries by then.
    if (pending.length === 0 && events === last) return;
    last = events;
    run.progress(`${events} events, and deliveries are pending`);
    await sleep(POLL_MS * 4);
  }
}

async function readLog({ client }: CrashSite): Promise<DrillEvent[]> {
  const events: DrillEvent[] = [];
  let path: string | undefined = `/events?limit=1000&types=${TYPES.join(',')}`;
  while (path !== undefined) {
    const page: Answer<DrillEvent[]> = expectStatus(await client.call<DrillEvent[]>('GET', path), 200);
    events.push(...page.body);
    // Every page of the feed leads on, an empty one is its end for now.
    path = page.body.length === 0 ? undefined : nextPath(client, page);
  }
  return events;
}

function account(verdict: Verdict, log: readonly DrillEvent[], receivers: readonly OutboxReceiver[]): void {
  const stored = new Map(log.map((event) => [event.id, event]));
  verdict.figures['events'] = log.length;
  verdict.figures['deliveries'] = 0;
  verdict.figures['of which again'] = 0;
  for (const { name, arrived, unsigned, requests } of receivers) {
    verdict.count('deliveries', arrived.size);
    verdict.count('of which again', requests - arrived.size);
    for (const text of unsigned) verdict.breach(ALL_SIGNED, `${name}: ${text}`);
    for (const { id, type, aggregate_id } of log) {
      verdict.expect(ALL_ARRIVE, arrived.has(id), () => `${name} has no ${type} of order ${aggregate_id}`);
    }
    const versions = new Map<number, number>();
    for (const [id, { type, aggregate_id, version }] of arrived) {
      const row = stored.get(id);
      // A lost id may be given to another event later.
      const isStored = row?.type === type && row.aggregate_id === aggregate_id && row.version === version;
      verdict.expect(
        ALL_STORED,
        isStored,
        () => `${name} got ${type} of order ${aggregate_id}, which is not in the log`,
      );
      const before = versions.get(aggregate_id) ?? 0;
      verdict.expect(
        IN_ORDER,
        version > before,
        () => `${name}: order ${aggregate_id}, ${version} after ${before}`,
      );
      versions.set(aggregate_id, version);
    }
  }
}
