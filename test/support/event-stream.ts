import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

import { expect, onTestFinished } from 'vitest';

import type { PublicEvent } from '../../src/events/event.schemas.ts';
import type { TestService } from './service.ts';

/** A client of a live stream, as EventSource is one: reads messages, and keeps the last id. */
export class StreamClient {
  readonly events: PublicEvent[] = [];
  readonly response: IncomingMessage;
  lastId = '';
  heartbeats = 0;
  hasEnded = false;
  #rest = '';

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('close', () => (this.hasEnded = true));
    response.on('error', () => undefined);
  }

  /** @param headers such as Last-Event-ID */
  static async open(url: string, headers: Record<string, string> = {}): Promise<StreamClient> {
    const sent = request(url, { headers });
    sent.on('error', () => undefined);
    onTestFinished(() => void sent.destroy());
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return new StreamClient(response);
  }

  /** Begins to read; until then it is a client that stands still. */
  read(): this {
    this.response.on('data', (text: string) => this.#take(text));
    return this;
  }

  close(): void {
    this.response.destroy();
  }

  has(type: string, aggregateId: number): boolean {
    return this.events.some((event) => event.type === type && event.aggregate_id === aggregateId);
  }

  #take(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      for (const line of block.split('\n')) {
        if (line.startsWith('id: ')) this.lastId = line.slice('id: '.length);
        if (line.startsWith('data: '))
          this.events.push(JSON.parse(line.slice('data: '.length)) as PublicEvent);
        if (line.startsWith(':')) this.heartbeats += 1;
      }
    }
  }
}

/** Waits until a stream has received an event. */
export async function received(stream: StreamClient, type: string, aggregateId: number): Promise<void> {
  await expect.poll(() => stream.has(type, aggregateId)).toBe(true);
}

/** Lets a service listen on a port. @returns where */
export async function listenOnPort(service: TestService): Promise<string> {
  return service.app.listen({ host: '127.0.0.1', port: 0 });
}
