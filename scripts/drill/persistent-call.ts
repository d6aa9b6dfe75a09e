import { setTimeout as sleep } from 'node:timers/promises';

import { type Answer, ServiceFailure } from '../support/service-client.ts';

/*
 * A client as it should be written: it sends the same call with the same key until it is answered, with longer and longer
 * pauses, and gives up at a deadline.
 */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;
/** Longer than any recovery takes that is not a fault. */
const PATIENCE_MS = 60_000;

export interface Settled<T> {
  answer: Answer<T>;
  tries: number;
}

/**
 * @param call makes one try; which one it is tells it where to send it
 * @param isOver ends it before its deadline
 * @returns undefined when it has given up
 */
export async function callUntilAnswered<T>(
  call: (attempt: number) => Promise<Answer<T>>,
  isOver: () => boolean = () => false,
): Promise<Settled<T> | undefined> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  let pauseMs = FIRST_PAUSE_MS;
  for (let tries = 1; ; tries += 1) {
    const answer = await answerTo(call(tries));
    if (!asksToTryAgain(answer)) return { answer, tries };
    if (performance.now() > giveUpAt || isOver()) return undefined;
    // Spread, or all callers that were cut off together would come back together.
    await sleep(pauseMs * (0.5 + Math.random()));
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

/** The answer to a call that is made once; without an answer, status 0 and the error. */
export async function answerTo<T>(call: Promise<Answer<T>>): Promise<Answer<T>> {
  return call.catch((error: unknown) => {
    if (!(error instanceof ServiceFailure)) throw error;
    const request = { method: '', url: '', body: undefined };
    // No caller reads the body of an answer with status 0.
    const body = undefined as T;
    return { request, status: 0, headers: new Headers(), text: error.message, body, durationMs: 0 };
  });
}

/** An answer that should have been another, for a person to read. */
export function describe({ request, status, text }: Answer): string {
  // Without an answer, the text says all of it.
  return status === 0 ? text : `${request.method} ${request.url}: ${status} ${text}`;
}

function asksToTryAgain({ status, body }: Answer): boolean {
  if (status === 0 || status === 503) return true;
  return status === 409 && (body as { code?: string }).code === 'idempotency_key_in_progress';
}
