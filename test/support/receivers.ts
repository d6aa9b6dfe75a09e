import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

/** A request as a receiver got it. */
export interface Received {
  headers: Record<string, string>;
  body: string;
  url: string;
}

export interface Receiver {
  url: string;
  port: number;
  received: Received[];
  close(): Promise<void>;
}

type Answer = (request: Received, response: ServerResponse, count: number) => void;

/** A receiver of webhooks on loopback that reads each request whole and then answers as it is told to. */
export async function startReceiver(answer: Answer): Promise<Receiver> {
  const received: Received[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    // Webhook headers come once each.
    const headers = request.headers as Record<string, string>;
    const taken = { headers, body, url: request.url ?? '' };
    received.push(taken);
    answer(taken, response, received.length);
  };
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  const port = await listenOn(server);
  return {
    url: `http://127.0.0.1:${port}/hooks`,
    port,
    received,
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** The same for one test. */
export async function useReceiver(answer: Answer): Promise<Receiver> {
  const receiver = await startReceiver(answer);
  onTestFinished(() => receiver.close());
  return receiver;
}

export function answerWith(status: number, headers: Record<string, string> = {}, body = ''): Answer {
  return (_request, response) => response.writeHead(status, headers).end(body);
}

/** Answers with one status after the other, and with the last one from then on. */
export function answerInTurn(...statuses: number[]): Answer {
  return (_request, response, count) =>
    response.writeHead(statuses[Math.min(count, statuses.length) - 1] ?? 500).end();
}

export interface Canary {
  port: number;
  /** Connections that were opened to it. */
  connections(): number;
}

/** Listens on loopback, IPv4 and, where there is one, IPv6. No guarded connection may ever arrive. */
export async function useCanary(): Promise<Canary> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  const port = await listenOn(server, '::').catch(() => listenOn(server));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((closed) => server.close(closed));
  });
  return { port, connections: () => connections };
}

async function listenOn(server: ReturnType<typeof createTcpServer>, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(0, host, () => listening());
  });
  return (server.address() as AddressInfo).port;
}
