/**
 * Calls that need a pooled connection each: more of them at once would race no harder, for a pool has 10, and on a busy
 * machine some would wait longer than the 5 s after which they are told to try again.
 */
const AT_ONCE = 100;

/** Makes `count` calls, `atOnce` of them at a time for as long as there are more, and waits for all of their answers. */
export async function together<T>(
  count: number,
  call: (index: number) => Promise<T>,
  atOnce: number = AT_ONCE,
): Promise<T[]> {
  const answers: T[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < count; index = next++) answers[index] = await call(index);
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, work));
  return answers;
}
