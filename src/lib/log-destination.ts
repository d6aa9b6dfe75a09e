/*
 * Every log line goes into this buffer in front of stdout.
 *
 * - It never throws: a full disk, a closed terminal or a reader that has ended costs log lines, and no order.
 * - It never waits: a stalled reader would otherwise block the event loop, and every request with it.
 * - It never grows past a bound: when it is full, further lines are dropped and counted, and the count is logged as soon
 *   as stdout takes lines again.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import type { Writable } from 'node:stream';

/** Lines are written together: a write for each of them would cost more than its request. */
const FLUSH_CHARS = 8192;
/** The longest that a line waits when no other line follows it. */
const FLUSH_MS = 100;
/** About 5,000 requests: enough for a reader that stalls for a moment, and little memory. */
const PENDING_CHARS = 1_048_576;
/** The longest that the exit waits for a slow reader: long for a pipe, short beside the 10 s that a stop may take. */
const DRAIN_MS = 250;
const DRAIN_CHECK_MS = 5;

/** A sink takes text without waiting and without throwing. */
export interface LogSink {
  /** `busy`: nothing was taken, try again later. `failed`: the text is lost. */
  write(text: string): 'taken' | 'busy' | 'failed';
  /** Continues with the text it took. @returns whether all of it has left this process */
  settle(): boolean;
}

export interface LogDestinationOptions {
  sink: LogSink;
  /** Makes the line that says how many lines are missing before it. */
  describeLoss: (lines: number) => string;
  onLost: (lines: number) => void;
}

export class LogDestination {
  readonly #options: LogDestinationOptions;
  readonly #timer: NodeJS.Timeout;
  #pending = '';
  #pendingLines = 0;
  /** Until the next tick of the timer, so that a line is no system call while stdout takes none. */
  #busy = false;
  /** Since the last line that said so. */
  #lost = 0;

  constructor(options: LogDestinationOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.flush(), FLUSH_MS);
    this.#timer.unref();
  }

  /** @param line with its line feed */
  write(line: string): void {
    if (this.#pending.length + line.length > PENDING_CHARS) return this.#lose(1);
    this.#pending += line;
    this.#pendingLines += 1;
    if (this.#pending.length >= FLUSH_CHARS && !this.#busy) this.flush();
  }

  /** Writes the pending text, if stdout takes it now. */
  flush(): void {
    const { sink, describeLoss } = this.#options;
    if (this.#pending === '') return void sink.settle();
    const lost = this.#lost;
    const outcome = sink.write(lost > 0 ? describeLoss(lost) + this.#pending : this.#pending);
    this.#busy = outcome === 'busy';
    if (this.#busy) return;
    if (outcome === 'failed') this.#lose(this.#pendingLines);
    else this.#lost -= lost;
    this.#pending = '';
    this.#pendingLines = 0;
  }

  /** Writes everything, and waits a moment for a slow reader. Lines may still be written afterwards. */
  async drain(): Promise<void> {
    const giveUpAt = performance.now() + DRAIN_MS;
    this.flush();
    while ((this.#pending !== '' || !this.#options.sink.settle()) && performance.now() < giveUpAt) {
      await sleep(DRAIN_CHECK_MS);
      this.flush();
    }
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#options.onLost(lines);
  }
}

/** The sink for this kind of stdout. */
export function openStdout(): LogSink {
  if (isatty(STDOUT)) return new FileSink(openTerminal());
  try {
    const found = fstatSync(STDOUT);
    if (found.isFIFO() || found.isSocket()) return new StreamSink(process.stdout);
  } catch {
    // Stdout was closed when the process started. Each write fails, and its lines are lost.
  }
  return new FileSink(STDOUT);
}

const STDOUT = 1;

/** A terminal that is stopped (Ctrl-S) takes nothing; opened like this, it says so instead of waiting. */
function openTerminal(): number {
  try {
    return openSync('/dev/fd/1', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return STDOUT; // a system without this folder, or the terminal of another user
  }
}

/** A pipe or socket: Node writes as much as fits, and keeps the rest without waiting. It keeps one text at a time. */
export class StreamSink implements LogSink {
  readonly #stream: Writable;
  #gone = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    // The reader has ended. Without a listener, that would end this process.
    stream.on('error', () => (this.#gone = true));
  }

  write(text: string): 'taken' | 'busy' | 'failed' {
    if (this.#gone) return 'failed';
    if (this.#stream.writableLength > 0) return 'busy';
    this.#stream.write(text);
    return 'taken';
  }

  settle(): boolean {
    return this.#gone || this.#stream.writableLength === 0;
  }
}

/** A file, a device or a terminal. A failure, such as a full disk, may be over at the next write. */
export class FileSink implements LogSink {
  readonly #fd: number;
  #rest: Buffer = NOTHING;
  /** The last byte written did not end a line. If the rest is lost, the next text begins with a line feed. */
  #torn = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(text: string): 'taken' | 'busy' | 'failed' {
    try {
      if (!this.#writeRest()) return 'busy';
      this.#rest = Buffer.from(this.#torn ? `\n${text}` : text);
      this.#writeRest();
      return 'taken';
    } catch {
      return 'failed';
    }
  }

  settle(): boolean {
    try {
      return this.#writeRest();
    } catch {
      return true;
    }
  }

  /** @returns false when a part is still left and stdout would block */
  #writeRest(): boolean {
    while (this.#rest.length > 0) {
      let written: number;
      try {
        written = writeSync(this.#fd, this.#rest);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
        this.#rest = NOTHING;
        throw error;
      }
      if (written > 0) this.#torn = this.#rest[written - 1] !== LINE_FEED;
      this.#rest = this.#rest.subarray(written);
    }
    return true;
  }
}

const NOTHING = Buffer.alloc(0);
const LINE_FEED = 10;
