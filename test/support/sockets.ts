import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';

import { onTestFinished } from 'vitest';

import type { TestService } from './service.ts';

/* What injected requests cannot show: bytes on a real connection. */

export async function listen({ app }: Pick<TestService, 'app'>): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** A socket that has sent `text`; what comes back is in `received()`. */
export async function send(port: number, text: string) {
  const socket = connect(port, '127.0.0.1');
  const begun = performance.now();
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  // A reset is an end as good as another.
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => {
    socket.on('close', () => resolve(performance.now() - begun));
  });
  await once(socket, 'connect');
  onTestFinished(() => void socket.destroy());
  if (text !== '') socket.write(text);
  return { socket, closed, received: () => received };
}

export interface RawAnswer {
  status: number;
  /** By lower-case name. */
  headers: Record<string, string>;
  body: string;
}

/** Sends `text` as it is, and reads until the service closes: the last request must ask for that. */
export async function exchange(port: number, text: string): Promise<RawAnswer[]> {
  const { closed, received } = await send(port, text);
  await closed;
  return parseAnswers(received());
}

/** Answers that stand one behind the other, each with a length. */
export function parseAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]);
    if (end < 0 || Number.isNaN(status)) throw new Error(`not an answer: ${rest.slice(0, 200)}`);
    const headers = Object.fromEntries(
      lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    );
    const body = end + 4;
    const length = status === 100 ? 0 : Number(headers['content-length'] ?? 0);
    answers.push({ status, headers, body: rest.slice(body, body + length) });
    rest = rest.slice(body + length);
  }
  return answers;
}
