import { tamper } from './audits.ts';
import { sweep } from './expiry.ts';
import { type Account, type Act, held, isRefundDue, shouldHold } from './money-oracle.ts';
import type { Answer, TestService } from './service.ts';

/** What an order shows of its money, in cents. */
export interface Shown {
  status: Account['status'];
  came: number;
  wentBack: number;
  isDue: boolean;
  isOpen: boolean;
}

/** Does what an act says; of one that is an event of a provider, any number of deliveries at once. */
export function perform(
  service: TestService,
  orderId: number,
  { kind, cents }: Act,
  { eventId, deliveries = 1 }: { eventId: string; deliveries?: number },
): Promise<string> {
  const amount = cents === undefined ? {} : { amount: cents / 100 };
  const path = `/orders/${orderId}`;
  switch (kind) {
    case 'captured':
    case 'refunded':
    case 'failed': {
      const type = { captured: 'succeeded', refunded: 'refunded', failed: 'failed' }[kind];
      const event = { event_type: `payment.${type}`, order_id: orderId, event_id: eventId, ...amount };
      return Promise.all(Array.from({ length: deliveries }, () => service.pay(event))).then(saidOnce);
    }
    case 'record':
    case 'give back': {
      const entry = { kind: kind === 'record' ? 'captured' : 'refunded', note: eventId, ...amount };
      return service.call('POST', `${path}/payments`, entry).then(saidByHand);
    }
    case 'pay':
      return service.call('PUT', path, { status: 'PAID' }).then(saidByHand);
    case 'ship':
      return service.call('PUT', path, { status: 'SHIPPED' }).then(saidByHand);
    case 'expire':
      return expire(service, orderId);
    case 'cancel':
      break;
  }
  return service.call('DELETE', path).then(saidByHand);
}

/** Lets the time of an order pass. One that is overdue already, or has ended, keeps its time: two of these may meet. */
async function expire(service: TestService, orderId: number): Promise<string> {
  await tamper(
    service.database,
    `update orders set expires_at = clock_timestamp() - interval '1 millisecond'
      where id = ${orderId} and status = 'PENDING' and expires_at > clock_timestamp()`,
  );
  await sweep(service);
  return 'time';
}

/** Of many deliveries of one event, one has an effect; the others say that it is known. */
function saidOnce(answers: readonly Answer[]): string {
  const first = answers.filter(({ body }) => body.status !== 'already_processed');
  const [answer] = first;
  if (answer === undefined) return 'known';
  if (first.length > 1 || answer.status !== 200) return `${first.length} of them: ${answer.text}`;
  return answer.body.status === 'review' ? answer.body.reason : answer.body.status;
}

function saidByHand({ status, text }: Answer): string {
  if (status === 400 || status === 409) return 'refused';
  return status < 300 ? 'done' : text;
}

/** The reasons that say nothing of the sums. */
const NOTICES = `('currency_mismatch', 'event_changed', 'disputed')`;

export async function shownMoney(service: TestService, ids: readonly number[]): Promise<Map<number, Shown>> {
  const rows = await service.database.query<Shown & { id: number }>(
    `select o.id::int as id, o.status, (o.amount_paid * 100)::int as came, (o.amount_refunded * 100)::int as "wentBack",
            o.refund_due as "isDue",
            exists (select from payment_exceptions e where e.order_id = o.id and e.status = 'OPEN'
                       and e.reason not in ${NOTICES}) as "isOpen"
       from orders o where o.id = any('{${ids.join()}}')`,
  );
  return new Map(rows.map(({ id, ...shown }) => [id, shown]));
}

/** What an order with this account must show. */
export function mustShow(account: Account): Shown {
  const { status, came, wentBack, isOpen } = account;
  return { status, came, wentBack, isDue: isRefundDue(account), isOpen };
}

/** What the shop holds is what it should, or an exception or a due refund says that it is not; never both. */
export function isTold(shown: Shown, total: number, isPaidByHand: boolean): boolean {
  const { status, came, wentBack } = shown;
  const account: Account = { total, status, came, wentBack, isPaidByHand, isOpen: false, hasExpired: false };
  return (held(account) === shouldHold(account)) !== (shown.isOpen || shown.isDue);
}
