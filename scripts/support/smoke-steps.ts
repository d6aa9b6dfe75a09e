import { paint } from './terminal.ts';

/** The result of a step: a note for its line, and the values that later steps use. */
export interface StepResult<T> {
  note: string;
  value: T;
}

/** As long as the longest note usually is, so that the durations stand in a column. */
const NOTE_WIDTH = 39;

/** Numbers the steps and gives each its line. The first failure ends the run: later steps build on earlier ones. */
export class SmokeSteps {
  readonly #total: number;
  readonly #startedAt = performance.now();
  #current = 0;

  constructor(total: number) {
    this.#total = total;
  }

  async run<T>(title: string, work: () => Promise<StepResult<T>>): Promise<T> {
    this.#current++;
    const startedAt = performance.now();
    const number = String(this.#current).padStart(String(this.#total).length);
    const name = `${number}/${this.#total}  ${title.padEnd(16)}`;
    try {
      const { note, value } = await work();
      const ms = `${Math.round(performance.now() - startedAt)} ms`;
      process.stdout.write(
        `  ${paint('green', '✓')} ${name}  ${note.padEnd(NOTE_WIDTH)}  ${paint('dim', ms)}\n`,
      );
      return value;
    } catch (error) {
      process.stdout.write(`  ${paint('red', '✗')} ${name.trimEnd()}\n`);
      throw error;
    }
  }

  printSuccess(): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    process.stdout.write(`\n${paint('green', `All ${this.#total} steps passed`)} in ${seconds} s.\n`);
  }

  printFailure(message: string): void {
    const indented = message.replaceAll(/^/gm, '    ');
    const left = this.#total - this.#current;
    const rest = left === 0 ? '' : ` The ${left} after it ${left === 1 ? 'was' : 'were'} not run.`;
    const sentence = `Step ${this.#current} of ${this.#total} failed.${rest}`;
    process.stdout.write(`\n${indented}\n\n${paint('red', sentence)}\n`);
  }
}
