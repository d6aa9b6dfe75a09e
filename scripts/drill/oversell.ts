import type { Answer, Order, ServiceClient } from '../support/service-client.ts';
import { together } from '../support/together.ts';
import { Books } from './books.ts';
import { type Drill, type DrillRun, NO_DRIFT, STOCK_ADDS_UP } from './drill.ts';
import { openGround } from './ground.ts';
import { answerTo, describe } from './persistent-call.ts';
import { Verdict } from './verdict.ts';

/*
 * A round is one product with few pieces and a crowd that wants it. In every other round each buyer wants one
 * piece, so that the number of winners is known. In the others they want up to three, and no buyer may be refused stock
 * that is still there.
 */
const PIECES = 20;
const BUYERS_PER_CLIENT = 4;

const AS_MANY_WIN = 'as many buyers win as there are pieces';
const ALL_ANSWERED = 'every buyer is told 201 or 409';
const STORED = 'acknowledged = stored';

type Purchase = Answer<(Order & { code?: string }) | undefined> & { quantity: number };

export const oversell: Drill = {
  title: 'many buyers race for few pieces',
  defaults: { rounds: 25, clients: 50 },
  control: {
    breaks: STOCK_ADDS_UP,
    how: 'a handler that checks the stock before it locks anything, and writes what it had read',
  },
  async run(run) {
    const verdict = new Verdict([STOCK_ADDS_UP, AS_MANY_WIN, STORED, ALL_ANSWERED, NO_DRIFT]);
    const ground = await openGround(run, { fault: 'check-outside-lock' });
    const [reader] = ground.services as [ServiceClient];
    const books = new Books(reader, verdict);
    for (const round of run.rounds()) {
      const quantityOf = round % 2 === 1 ? () => 1 : (buyer: number) => 1 + (buyer % 3);
      const product = await books.createProduct(PIECES);
      // The audit runs beside the race: it reads one snapshot, and the books add up at every moment.
      const [purchases] = await Promise.all([
        race(run, ground.attacked, { productId: product.id, quantityOf }),
        books.checkDrift(),
      ]);
      const { orders, left } = await books.checkStock(product);
      judge(verdict, purchases, left);
      const acknowledged = purchases.flatMap(({ status, body }) => (status === 201 && body ? [body.id] : []));
      const stored = orders.map(({ id }) => id);
      verdict.expect(
        STORED,
        acknowledged.toSorted((a, b) => a - b).join() === stored.join(),
        () => `round ${round}: ${acknowledged.length} acknowledged, ${stored.length} stored, or not the same`,
      );
      verdict.count('rounds');
      verdict.count('buyers', purchases.length);
      verdict.count('orders', acknowledged.length);
      const { buyers = 0, orders: placed = 0 } = verdict.figures;
      run.progress(`round ${round}: ${buyers} buyers, ${placed} orders`);
    }
    await books.checkDrift();
    await books.close(ground.own === undefined);
    return verdict;
  },
};

interface Race {
  productId: number;
  quantityOf: (buyer: number) => number;
}

function race(
  { clients }: DrillRun,
  sites: readonly ServiceClient[],
  { productId, quantityOf }: Race,
): Promise<Purchase[]> {
  const buy = async (buyer: number): Promise<Purchase> => {
    const site = sites[buyer % sites.length] as ServiceClient;
    const quantity = quantityOf(buyer);
    const body = { product_id: productId, quantity };
    return { ...(await answerTo(site.call('POST', '/orders', { body }))), quantity };
  };
  return together(clients * BUYERS_PER_CLIENT, buy, clients);
}

function judge(verdict: Verdict, purchases: readonly Purchase[], left: number): void {
  for (const purchase of purchases) {
    const { status, body } = purchase;
    const legal = status === 201 || (status === 409 && body?.code === 'insufficient_stock');
    verdict.expect(ALL_ANSWERED, legal, () => describe(purchase));
  }
  const smallest = Math.min(...quantities(purchases, 409));
  // No stock comes back in a race, so the stock left at its end was there at every refusal.
  verdict.expect(
    AS_MANY_WIN,
    left < smallest,
    () => `${left} pieces are left, and who wanted ${smallest} was refused`,
  );
  const pieces = quantities(purchases, 201).reduce((sum, quantity) => sum + quantity, 0);
  verdict.expect(AS_MANY_WIN, pieces <= PIECES, () => `${pieces} of ${PIECES} pieces were sold`);
}

function quantities(purchases: readonly Purchase[], status: number): number[] {
  return purchases.filter((purchase) => purchase.status === status).map(({ quantity }) => quantity);
}
