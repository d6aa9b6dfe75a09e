/** Broken more often than this, a promise is told by its first breaches and their number. */
const EXAMPLES_MAX = 3;

export interface KeptPromise {
  promise: string;
  held: boolean;
  breaches: number;
  examples: string[];
}

/** The findings of a drill: each promise with its breaches, and the figures counted on the way. */
export class Verdict {
  readonly figures: Record<string, number> = {};
  readonly #promises: Map<string, { breaches: number; examples: string[] }>;

  constructor(promises: readonly string[]) {
    this.#promises = new Map(promises.map((promise) => [promise, { breaches: 0, examples: [] }]));
  }

  breach(promise: string, example: string): void {
    const kept = this.#promises.get(promise);
    if (kept === undefined) throw new Error(`nobody promised: ${promise}`);
    kept.breaches += 1;
    if (kept.examples.length < EXAMPLES_MAX) kept.examples.push(example);
  }

  expect(promise: string, holds: boolean, example: () => string): void {
    if (!holds) this.breach(promise, example());
  }

  count(figure: string, by = 1): void {
    this.figures[figure] = (this.figures[figure] ?? 0) + by;
  }

  get promises(): KeptPromise[] {
    return Array.from(this.#promises, ([promise, kept]) => ({
      promise,
      held: kept.breaches === 0,
      ...kept,
    }));
  }

  breachesOf(promise: string): number {
    return this.#promises.get(promise)?.breaches ?? 0;
  }
}
