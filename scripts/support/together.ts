import pMap from 'p-map';

/**
 * Calls that need a pooled connection each: more of them at once would race no harder, for a pool has 10, and on a busy
 * machine some would wait longer than the 5 s after which they are told to try again.
 */
const AT_ONCE = 100;

/** Makes `count` calls, `atOnce` of them at a time for as long as there are more, and waits for all of their answers. */
export function together<T>(
  count: number,
  call: (index: number) => Promise<T>,
  atOnce: number = AT_ONCE,
): Promise<T[]> {
  return pMap(Array(count).keys(), call, { concurrency: atOnce });
}
