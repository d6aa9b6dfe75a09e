import { Readable } from 'node:stream';

import type { OutgoingEvent } from '../feed.service.ts';
import { comparePositions, encodePosition, type Position } from '../position.ts';

/** What a client may be behind before it is read for apart. */
const BEHIND_MAX_BYTES = 1024 * 1024;
/** A replay waits until its client has taken in all but this. */
const REPLAY_AHEAD_BYTES = 64 * 1024;
/** How long a browser waits before it comes back. */
const RETRY_MS = 1000;

/** An event as a stream sends it. One Buffer serves all streams. */
export interface Frame extends OutgoingEvent {
  readonly bytes: Buffer;
}

/**
 * There is no `event:` line, so that `onmessage` of a browser gets every type. The type stands in the data, and JSON has no
 * line break.
 */
export function toFrame(outgoing: OutgoingEvent): Frame {
  const { event } = outgoing;
  return { ...outgoing, bytes: Buffer.from(`id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`) };
}

/** One open stream: what it wants, how far it has come, and the bytes that its client has not taken yet. */
export class Subscriber {
  readonly output: Readable;
  readonly openedAt = performance.now();
  readonly types: readonly string[] | undefined;
  #position: Position;
  #hasEnded = false;
  #pushedBytes = 0;
  /** What the client had taken in at the last beat, if there was more to take. */
  #takenBefore: number | undefined;
  #onWanted: (() => void) | undefined;

  /** @param types undefined for all */
  constructor(position: Position, types: readonly string[] | undefined) {
    this.#position = position;
    this.types = types;
    this.output = new Readable({ read: () => this.#wanted() });
    // A client that leaves is no failure.
    this.output.on('error', () => undefined);
    this.output.on('close', () => this.#wanted());
    this.#push(`retry: ${RETRY_MS}\n${this.#idLine()}\n`);
  }

  /** Everything up to here is sent, or of no wanted type. */
  get position(): Position {
    return this.#position;
  }

  get isOpen(): boolean {
    return !this.#hasEnded && !this.output.destroyed;
  }

  /** Sends those of the events that the client wants and does not have. It has then come to `next`. */
  send(frames: readonly Frame[], next: Position): void {
    for (const { position, event, bytes } of frames) {
      const isWanted = this.types?.includes(event.type) ?? true;
      if (isWanted && comparePositions(position, this.#position) > 0) this.#push(bytes);
    }
    if (comparePositions(next, this.#position) > 0) this.#position = next;
  }

  /** Whether the client takes events in more slowly than they come. */
  isTooFarBehind(): boolean {
    return this.output.readableLength > BEHIND_MAX_BYTES;
  }

  /**
   * Keeps the connection from looking idle, and lets a client that wants rare types come back without a long replay.
   * @returns false when the client has taken in nothing since the last beat, though something was there
   */
  beat(): boolean {
    const { readableLength } = this.output;
    const taken = this.#pushedBytes - readableLength;
    const isStuck = readableLength > 0 && taken === this.#takenBefore;
    this.#takenBefore = readableLength > 0 ? taken : undefined;
    if (readableLength === 0) this.#push(`: heartbeat\n${this.#idLine()}\n`);
    return !isStuck;
  }

  /** Waits until the client has taken in most of what it was sent, or has left. */
  async drained(): Promise<void> {
    while (this.isOpen && this.output.readableLength > REPLAY_AHEAD_BYTES) {
      await new Promise<void>((resolve) => {
        this.#onWanted = resolve;
      });
    }
  }

  /** Ends the stream at its position; the client comes back for more. */
  end(): void {
    if (!this.isOpen) return;
    this.#push(`${this.#idLine()}\n`);
    this.#hasEnded = true;
    this.output.push(null);
  }

  #wanted(): void {
    this.#onWanted?.();
    this.#onWanted = undefined;
  }

  #push(bytes: Buffer | string): void {
    if (!this.isOpen) return;
    this.#pushedBytes += Buffer.byteLength(bytes);
    this.output.push(bytes);
  }

  #idLine(): string {
    return `id: ${encodePosition(this.#position)}\n`;
  }
}
