import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Webhook } from 'standardwebhooks';

import type { ClosingStack } from '../../src/lib/shutdown.ts';

export interface DrillEvent {
  id: string;
  type: string;
  aggregate_id: number;
  version: number;
}

interface Kind {
  name: string;
  delayMs: number;
  /** Every so many requests, it answers 500 and takes nothing. */
  failsEach: number;
}

/** A receiver that keeps every event that it has answered with 200, in the order of their first arrival. */
export class OutboxReceiver {
  readonly arrived = new Map<string, DrillEvent>();
  readonly unsigned: string[] = [];
  /** Those that were answered with 200. */
  requests = 0;
  secret = '';
  readonly name: string;
  readonly url: string;

  private constructor(name: string, url: string) {
    this.name = name;
    this.url = url;
  }

  static async open({ name, delayMs, failsEach }: Kind, opened: ClosingStack): Promise<OutboxReceiver> {
    let count = 0;
    let receiver: OutboxReceiver | undefined;
    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      const body = await bodyOf(request);
      await sleep(delayMs);
      receiver?.take(request, body);
      response.end();
    };
    const server = createServer((request, response) => {
      count += 1;
      if (count % failsEach === 0) {
        request.resume();
        response.writeHead(500).end();
        return;
      }
      // A relay may be killed in the middle of a request.
      void answer(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
    opened.add(async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    });
    receiver = new OutboxReceiver(name, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return receiver;
  }

  take(request: IncomingMessage, body: string): void {
    this.requests += 1;
    // Each webhook header comes once.
    const headers = request.headers as Record<string, string>;
    const event = JSON.parse(body) as DrillEvent;
    try {
      new Webhook(this.secret).verify(body, headers);
    } catch (error) {
      this.unsigned.push((error as Error).message);
    }
    if (headers['webhook-id'] !== event.id) this.unsigned.push('another webhook-id than the event');
    if (!this.arrived.has(event.id)) this.arrived.set(event.id, event);
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  return body;
}
