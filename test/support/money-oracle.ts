/*
 * What is promised about the money of one order, in sums: what came (C), what went back (F), and whether a person has said
 * that it is paid (A = T, the total). The shop holds R = max(C, A) − F. It shares nothing with src/, so that a wrong rule
 * there is not wrong here too.
 */

export interface Act {
  name: string;
  /** The first three are events of a provider; the others are done by a person, or by time. */
  kind: 'captured' | 'refunded' | 'failed' | 'record' | 'give back' | 'pay' | 'ship' | 'cancel' | 'expire';
  /** Undefined where an event names no amount. */
  cents?: number;
}

export interface Account {
  total: number;
  status: 'PENDING' | 'PAID' | 'SHIPPED' | 'CANCELED';
  hasExpired: boolean;
  came: number;
  wentBack: number;
  isPaidByHand: boolean;
  /** An exception says that the sums differ. */
  isOpen: boolean;
}

export function newAccount(total: number): Account {
  return {
    total,
    status: 'PENDING',
    hasExpired: false,
    came: 0,
    wentBack: 0,
    isPaidByHand: false,
    isOpen: false,
  };
}

export function held({ total, came, wentBack, isPaidByHand }: Account): number {
  return Math.max(came, isPaidByHand ? total : 0) - wentBack;
}

export function shouldHold({ status, total }: Account): number {
  return status === 'PAID' || status === 'SHIPPED' ? total : 0;
}

export const isRefundDue = (account: Account): boolean => account.status === 'CANCELED' && held(account) > 0;

/** `refused` changes nothing; any word but it, `processed` and `ignored` is the reason of an exception. */
export function act(before: Account, { kind, cents }: Act): { account: Account; said: string } {
  const account = { ...before };
  const { status, total } = account;
  if (kind === 'ship' || kind === 'cancel' || kind === 'pay' || kind === 'expire') {
    return step(account, kind);
  }
  if (kind === 'failed') {
    if (status !== 'PENDING') return { account, said: 'ignored' };
    account.status = 'CANCELED';
    return conclude(account, 'processed');
  }
  const had = held(account);
  if (kind === 'captured' || kind === 'record') {
    const rest = total - Math.max(0, account.came - account.wentBack);
    account.came += cents ?? (rest > 0 ? rest : total);
    return conclude(account, captured(account));
  }
  if (kind === 'give back' && (cents ?? 0) > had) return { account, said: 'refused' };
  account.wentBack += cents ?? (had > 0 ? had : total);
  return conclude(account, refunded(account));
}

function step(
  account: Account,
  kind: 'ship' | 'cancel' | 'pay' | 'expire',
): { account: Account; said: string } {
  const from: Record<typeof kind, Account['status'][]> = {
    ship: ['PAID'],
    cancel: ['PENDING', 'PAID'],
    pay: ['PENDING'],
    expire: ['PENDING'],
  };
  if (!from[kind].includes(account.status)) return { account, said: 'refused' };
  account.status = kind === 'ship' ? 'SHIPPED' : kind === 'pay' ? 'PAID' : 'CANCELED';
  account.hasExpired = kind === 'expire';
  if (kind === 'pay') {
    account.isPaidByHand = true;
    const holds = held(account);
    // It went back before it was paid.
    if (holds <= 0) account.status = 'CANCELED';
    // What came and went back before was no more than a part.
    else if (holds < account.total && !account.isOpen) return conclude(account, 'partial_refund');
  }
  return conclude(account, 'processed');
}

/** Moves the order, and says what more money means for it. */
function captured(account: Account): string {
  const { status, total, hasExpired } = account;
  const holds = held(account);
  if (status === 'CANCELED')
    return holds === 0 ? 'processed' : hasExpired ? 'order_expired' : 'order_canceled';
  if (status !== 'PENDING') return holds > total ? 'already_paid' : 'processed';
  if (holds > 0 && holds < total) return 'underpaid';
  account.status = holds > 0 ? 'PAID' : 'CANCELED';
  return holds > total ? 'overpaid' : 'processed';
}

/** Moves the order, and says what less money means for it. */
function refunded(account: Account): string {
  const { status, total } = account;
  const holds = held(account);
  if (status === 'PENDING') return holds < 0 ? 'refund_before_payment' : 'processed';
  if (status === 'CANCELED') return holds < 0 ? 'refund_exceeds_payments' : 'processed';
  if (holds >= total) return 'processed';
  if (status === 'SHIPPED') return 'order_shipped';
  if (holds > 0) return 'partial_refund';
  account.status = 'CANCELED';
  return holds < 0 ? 'refund_exceeds_payments' : 'processed';
}

/** Exceptions settle by themselves as soon as the sums agree. */
function conclude(account: Account, said: string): { account: Account; said: string } {
  const agrees = held(account) === shouldHold(account);
  account.isOpen = !agrees && (account.isOpen || said !== 'processed');
  return { account, said: agrees ? 'processed' : said };
}

/**
 * Every sequence of these acts up to a length, by the states that they lead to: what comes after a state does not depend
 * on the way to it, so that each act is tried once in each. `visit` gets the shortest way.
 * @returns how many states there are
 */
export function explore<State>(
  acts: readonly Act[],
  depth: number,
  start: State,
  visit: (state: State, act: Act, path: readonly string[]) => State,
): number {
  const known = new Set([JSON.stringify(start)]);
  let level: { state: State; path: string[] }[] = [{ state: start, path: [] }];
  for (let length = 1; length <= depth; length++) {
    const next: typeof level = [];
    for (const { state, path } of level) {
      for (const each of acts) {
        const longer = [...path, each.name];
        const after = visit(state, each, longer);
        const key = JSON.stringify(after);
        if (!known.has(key)) next.push({ state: after, path: longer });
        known.add(key);
      }
    }
    level = next;
  }
  return known.size;
}
