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
  /** The refund that waits for its payment. */
  let early: string | undefined;

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
    const inFull = event.cents === undefined || event.cents === totalCents;
    if (event.kind === 'ship') {
      const can = story.status === 'PAID';
      if (can) move('SHIPPED');
      story.outcomes[event.name] = can ? 'shipped' : 'not possible';
    } else if (event.kind === 'failed') {
      // Only who waits for a payment can be told that there is none.
      if (story.status === 'PENDING') {
        move('CANCELED');
        done(event);
      } else story.outcomes[event.name] = 'ignored';
    } else if (event.kind === 'succeeded') {
      // Money comes in. It buys the order, or it buys nothing.
      if (story.status === 'CANCELED') review(event, 'order_canceled');
      else if (story.status !== 'PENDING') review(event, 'already_paid');
      else if (!inFull) review(event, 'amount_mismatch');
      else {
        move('PAID');
        if (early !== undefined) {
          move('CANCELED');
          story.exceptions = story.exceptions.map((told) =>
            told.startsWith(`${early} `) ? `${told} settled` : told,
          );
        }
        done(event);
      }
    } else if (story.status === 'SHIPPED') review(event, 'order_shipped');
    else if (story.status === 'CANCELED') review(event, 'order_canceled');
    else if (!inFull) review(event, 'partial_refund');
    else if (story.status === 'PENDING') {
      early = event.name;
      review(event, 'refund_before_payment');
    } else {
      move('CANCELED');
      done(event);
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
