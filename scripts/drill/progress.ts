import { paint } from '../support/terminal.ts';

const SHOWN_EACH_MS = 1000;

/** The progress lines of a run: the latest one each second. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #startedAt = performance.now();
  #latest: string | undefined;
  #shownAt = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  print(text: string): void {
    this.#out.write(text);
  }

  title(text: string): void {
    this.print(`${paint('bold', text)}\n`);
  }

  note(text: string): void {
    this.print(`  ${text}\n`);
  }

  show(text: string): void {
    this.#latest = text;
    if (performance.now() - this.#shownAt >= SHOWN_EACH_MS) this.end();
  }

  /** Shows the last that was said, if that has not been shown. */
  end(): void {
    if (this.#latest === undefined) return;
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(0).padStart(5);
    this.print(`${seconds} s   ${this.#latest}\n`);
    this.#latest = undefined;
    this.#shownAt = performance.now();
  }
}
