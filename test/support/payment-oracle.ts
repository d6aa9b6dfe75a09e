/*
 * What SPEC says about the payments of one order, told as a story and not as a table: an order wants its money once. It
 * shares nothing with src/, so that a wrong rule there is not wrong here too.
 */

export interface StoryEvent {
  name: string;
  /** `ship` is what staff does; the others are what the payment provider tells. */
  kind: 'succeeded' | 'failed' | 'refunded' | 'ship';
  /** In cents; undefined when the event names none. */
  cents?: number;
}

export interface Story {
  status: 'PENDING' | 'PAID' | 'SHIPPED' | 'CANCELED';
  /** What was answered to each event, by its name. */
  outcomes: Record<string, string>;
  /** The exceptions, as `event reason`, with `settled` behind those that a later payment has closed. */
  exceptions: string[];
  /** The steps of the order's life. */
  steps: string[];
}

/** Tells what becomes of an order when these events come one after the other, each of them once. */
export function tell(totalCents: number, events: readonly StoryEvent[]): Story {
  const story: Story = { status: 'PENDING', outcomes: {}, exceptions: [], steps: ['order.created'] };
  /** What is in the till for this order; below 0 when more went back than came. */
  let till = 0;

  const move = (status: Story['status']) => {
    story.status = status;
    story.steps.push(`order.${status.toLowerCase()}`);
  };
  const review = (event: StoryEvent, reason: string) => {
    story.exceptions.push(`${event.name} ${reason}`);
    story.outcomes[event.name] = `review ${reason}`;
  };
  const done = (event: StoryEvent) => {
    story.outcomes[event.name] = `processed ${story.status}`;
  };

  for (const event of events) {
    if (event.kind === 'ship') {
      const can = story.status === 'PAID';
      if (can) move('SHIPPED');
      story.outcomes[event.name] = can ? 'shipped' : 'not possible';
    } else if (event.kind === 'failed') {
      // Only an order that waits for its payment can be told that there is none.
      if (story.status === 'PENDING') {
        move('CANCELED');
        done(event);
      } else story.outcomes[event.name] = 'ignored';
    } else if (event.kind === 'succeeded') {
      const rest = totalCents - Math.max(0, till);
      till += event.cents ?? (rest > 0 ? rest : totalCents);
      if (story.status === 'CANCELED' && till !== 0) review(event, 'order_canceled');
      else if (story.status === 'PENDING' && till > 0 && till < totalCents) review(event, 'underpaid');
      else if (story.status === 'PENDING') {
        move('PAID');
        // As much went back before.
        if (till <= 0) move('CANCELED');
        if (till > totalCents) review(event, 'overpaid');
        else done(event);
      } else if (till > totalCents) review(event, 'already_paid');
      else done(event);
    } else {
      till -= event.cents ?? (till > 0 ? till : totalCents);
      if (story.status === 'SHIPPED' && till < totalCents) review(event, 'order_shipped');
      else if (story.status === 'PENDING' && till < 0) review(event, 'refund_before_payment');
      else if (story.status === 'CANCELED' && till < 0) review(event, 'refund_exceeds_payments');
      else if (story.status === 'PAID' && till < totalCents && till > 0) review(event, 'partial_refund');
      else if (story.status === 'PAID' && till <= 0) {
        move('CANCELED');
        if (till < 0) review(event, 'refund_exceeds_payments');
        else done(event);
      } else done(event);
    }
    const due = story.status === 'PAID' || story.status === 'SHIPPED' ? totalCents : 0;
    if (till === due) {
      story.exceptions = story.exceptions.map((told) => `${told.replace(' settled', '')} settled`);
    }
  }
  return { ...story, exceptions: story.exceptions.toSorted() };
}

/** Every order in which the entries of a list can come. */
export function permutationsOf<T>(list: readonly T[]): T[][] {
  if (list.length <= 1) return [[...list]];
  return list.flatMap((first, index) =>
    permutationsOf(list.filter((_, other) => other !== index)).map((rest) => [first, ...rest]),
  );
}
