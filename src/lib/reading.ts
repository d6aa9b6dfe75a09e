import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A value that is read anew whenever it is asked for, but not waited for longer than a bound: then the last one that is
 * known counts. Whoever asks at the same moment shares one reading, and a reading that hangs is not joined by another.
 * @returns the value, or undefined when there never was one
 */
export function createReading<T>(read: () => Promise<T>, patienceMs: number): () => Promise<T | undefined> {
  let known: T | undefined;
  let underWay: Promise<void> | undefined;

  async function readOnce(): Promise<void> {
    try {
      known = await read();
    } catch {
      // What is known stays known.
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
