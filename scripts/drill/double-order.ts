import { randomBytes } from 'node:crypto';

import type { Order, ServiceClient } from '../support/service-client.ts';
import { together } from '../support/together.ts';
import { Books, type DrillProduct, emailOf } from './books.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { type Ground, openGround } from './ground.ts';
import { answerTo, callUntilAnswered, type Settled } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * A round is a few keys, each used by a crowd at once, at both instances. In some rounds one of them is killed in the
 * middle: a buyer without an answer sends the same key again, to either instance, and the restarted one must still
 * know every key.
 */
const KEYS = 10;
const CALLERS = 12;
/** The first kill comes early enough for a short run. */
const KILL_EVERY = 4;
const FIRST_KILL = 2;
/** In the middle of its round. */
const KILL_AFTER_ANSWERS = (KEYS * CALLERS) / 3;

const ONE_ORDER = 'one order per key';
const ALL_ANSWERED = 'every caller is told 201';
const REUSE_REFUSED = 'a key with another command is refused';

type PlacedOrder = (Order & { code?: string }) | undefined;

export const doubleOrder: Drill = {
  title: 'many clients use one Idempotency-Key at once',
  defaults: { rounds: 24, clients: 50 },
  control: { breaks: ONE_ORDER, how: 'a handler that locks as it should, and does not look at the key' },
  async run(run) {
    const verdict = new Verdict([ONE_ORDER, STOCK_ADDS_UP, REUSE_REFUSED, ALL_ANSWERED, NO_DRIFT]);
    const ground = await openGround(run, { fault: 'no-key' });
    const [reader] = ground.services as [ServiceClient];
    const books = new Books(reader, verdict);
    for (const round of run.rounds()) {
      const product = await books.createProduct(KEYS * CALLERS);
      const keys = Array.from({ length: KEYS }, () => `drill-${randomBytes(12).toString('hex')}`);
      // The control has a promise to break without it, and its handlers are not the service.
      const kills = round % KILL_EVERY === FIRST_KILL && ground.own !== undefined && !run.options.control;
      let killing: Promise<void> | undefined;
      const answers = await placeAll(run, ground.attacked, { product, keys }, (count) => {
        if (!kills || count !== KILL_AFTER_ANSWERS) return;
        killing = ground.own?.killAndRestart(1);
        // Told where it is awaited.
        killing?.catch(() => undefined);
      });
      await killing;
      if (kills) {
        verdict.count('kills');
        answers.push(...(await askAgain(run, ground, { product, keys })));
      }
      judgeAnswers(verdict, keys, answers);
      await checkReuse(verdict, ground, product, keys[0] ?? '');
      const { orders } = await books.checkStock(product);
      for (const key of keys) {
        const stored = orders.filter((order) => order.customer_email === emailOf(key)).length;
        verdict.expect(ONE_ORDER, stored === 1, () => `${stored} orders are stored for the key ${key}`);
      }
      await books.checkDrift();
      verdict.count('keys', KEYS);
      verdict.count('calls', answers.length);
      verdict.count(
        'tried again',
        answers.filter(({ settled }) => settled !== undefined && settled.tries > 1).length,
      );
      const { kills: killed = 0, calls = 0 } = verdict.figures;
      run.progress(`round ${round}: ${round * KEYS} keys in ${calls} calls, kills: ${killed}`);
    }
    await books.close(ground.own === undefined);
    return verdict;
  },
};

interface KeyedAnswer {
  key: string;
  settled: Settled<PlacedOrder> | undefined;
}

interface Crowd {
  product: DrillProduct;
  keys: readonly string[];
}

/** Every key as often as there are callers, those of one key next to each other. */
function placeAll(
  { clients }: DrillRun,
  sites: readonly ServiceClient[],
  { product, keys }: Crowd,
  onAnswer: (count: number) => void,
): Promise<KeyedAnswer[]> {
  let answered = 0;
  return together(
    keys.length * CALLERS,
    async (index) => {
      const key = keys[Math.floor(index / CALLERS)] as string;
      const settled = await callUntilAnswered((attempt) =>
        place(sites[(index + attempt) % sites.length] as ServiceClient, product, key),
      );
      answered += 1;
      onAnswer(answered);
      return { key, settled };
    },
    clients,
  );
}

/** The instance that was killed must answer every key as it, or the other one, did before. */
function askAgain(
  { clients }: DrillRun,
  { services }: Ground,
  { product, keys }: Crowd,
): Promise<KeyedAnswer[]> {
  const reborn = services[1] as ServiceClient;
  return together(
    keys.length,
    async (index) => {
      const key = keys[index] as string;
      return { key, settled: await callUntilAnswered(() => place(reborn, product, key)) };
    },
    clients,
  );
}

function place(site: ServiceClient, { id }: DrillProduct, key: string, quantity = 1) {
  const body = { product_id: id, quantity, customer_email: emailOf(key) };
  return site.call<PlacedOrder>('POST', '/orders', {
    body,
    headers: { 'idempotency-key': key },
  });
}

function judgeAnswers(verdict: Verdict, keys: readonly string[], answers: readonly KeyedAnswer[]): void {
  for (const key of keys) {
    const settled = answers.filter((answer) => answer.key === key).map((answer) => answer.settled);
    const known = settled.flatMap((each) => (each?.answer.status === 201 ? [each] : []));
    const others = settled.length - known.length;
    const odd = settled.find((each) => each?.answer.status !== 201);
    verdict.expect(
      ALL_ANSWERED,
      others === 0,
      () => `${others} callers with the key ${key} were not: ${odd?.answer.text ?? 'no answer'}`,
    );
    // Every caller must get the order of its key, in the same words.
    const bodies = new Set(known.map(({ answer }) => answer.text));
    verdict.expect(ONE_ORDER, bodies.size === 1, () => `${bodies.size} answers to the key ${key}`);
    const firsts = known.filter(({ answer }) => !answer.headers.has('idempotency-replayed')).length;
    // A caller that was cut off may have been the first.
    const cutOff = settled.some((each) => each === undefined || each.tries > 1);
    verdict.expect(
      ONE_ORDER,
      firsts === 1 || (firsts === 0 && cutOff),
      () => `${firsts} callers with the key ${key} were told that theirs was the first`,
    );
  }
}

async function checkReuse(
  verdict: Verdict,
  { attacked }: Ground,
  product: DrillProduct,
  key: string,
): Promise<void> {
  const { status, body } = await answerTo(place(attacked[0] as ServiceClient, product, key, 2));
  verdict.expect(
    REUSE_REFUSED,
    status === 409 && body?.code === 'idempotency_key_reused',
    () => `${status} for the key ${key} with another quantity`,
  );
}
