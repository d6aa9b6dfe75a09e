import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A value that is read on every request for it, within a time bound: past it, the last known value counts. Requests at
 * the same moment share one reading, and while a reading hangs no other is started.
 * @returns the value, or undefined when there never was one
 */
export function createReading<T>(read: () => Promise<T>, patienceMs: number): () => Promise<T | undefined> {
  let known: T | undefined;
  let underWay: Promise<void> | undefined;

  async function readOnce(): Promise<void> {
    try {
      known = await read();
    } catch {
      // The last known value stays.
    } finally {
      underWay = undefined;
    }
  }

  return async () => {
    underWay ??= readOnce();
    const patience = new AbortController();
    const patient = sleep(patienceMs, undefined, { signal: patience.signal, ref: false });
    await Promise.race([underWay, patient]);
    patience.abort();
    await patient.catch(() => undefined);
    return known;
  };
}
