/*
 * Where every log line goes: a buffer in front of stdout.
 *
 * - It never throws: a full disk, a closed terminal or a reader that has ended costs log lines, and no order.
 * - It never waits: a reader that stands still would otherwise stop the event loop, and with it every request.
 * - It never grows past a bound: lines that find it full are dropped and counted, and the count is written as soon as
 *   stdout takes lines again.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import type { Writable } from 'node:stream';

/** Lines are written together: a write for each of them would cost more than its request. */
const FLUSH_CHARS = 8192;
/** So that a line is not kept waiting when nothing follows it. */
const FLUSH_MS = 100;
/** Some 5,000 requests: what a reader that stumbles for a moment still gets, and no burden on our memory. */
const PENDING_CHARS = 1_048_576;
/** What the end of the process waits for a slow reader: long for a pipe, short beside the 10 s that a stop may take. */
const DRAIN_MS = 250;
const DRAIN_CHECK_MS = 5;

/** What takes text without waiting and without throwing. */
export interface LogSink {
  /** `busy`: nothing was taken, try again later. `failed`: the text is lost. */
  write(text: string): 'taken' | 'busy' | 'failed';
  /** Goes on with what was taken. @returns whether all of it has left this process */
  settle(): boolean;
}

export interface LogDestinationOptions {
  sink: LogSink;
  /** The line that says how many others are missing before it. */
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

  /** Hands over what is pending, if stdout takes it now. */
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

  /** Hands over everything, and waits a moment for a reader that is slow. Lines may still be written afterwards. */
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

/** The sink that fits what stdout is. */
export function openStdout(): LogSink {
  if (isatty(STDOUT)) return new FileSink(openTerminal());
  try {
    const found = fstatSync(STDOUT);
    if (found.isFIFO() || found.isSocket()) return new StreamSink(process.stdout);
  } catch {
    // It was closed when we started. Each write says so, and its lines are lost.
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

/** A pipe or socket: Node writes what fits, and keeps the rest without waiting. Only one text at a time is kept so. */
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

/** A file, a device or a terminal. What was wrong with it, a full disk for instance, may be over at the next write. */
export class FileSink implements LogSink {
  readonly #fd: number;
  #rest: Buffer = NOTHING;
  /** The last byte that was written does not end a line. When its rest is lost, the next text begins with a line feed. */
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

  /** @returns false when it would have to wait for the rest of the rest */
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
