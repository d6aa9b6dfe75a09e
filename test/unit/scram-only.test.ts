import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';

import { scramOnlySocket } from '../../src/db/scram-only.ts';

/** A message of authentication, as PostgreSQL's protocol has it. */
function authentication(code: number, rest = ''): Buffer {
  const message = Buffer.alloc(9 + rest.length);
  message.write('R');
  message.writeInt32BE(8 + rest.length, 1);
  message.writeInt32BE(code, 5);
  message.write(rest, 9, 'latin1');
  return message;
}

const READY = Buffer.from('Z\0\0\0\u0005I', 'latin1');
const CLEARTEXT = authentication(3);
const MD5 = authentication(5, 'salt');
const OK = authentication(0);
const SASL = authentication(10, 'SCRAM-SHA-256\0\0');

/** Listens where a dead server did, and answers a client's first message with this. @returns what it was sent */
async function listenInstead(answer: Buffer[]): Promise<{ port: number; received: () => string }> {
  let received = '';
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.setNoDelay(true);
    socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    socket.once('data', () => {
      for (const part of answer) socket.write(part);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, received: () => received };
}

test.each<[string, Buffer[]]>([
  ['asks for the password in clear', [CLEARTEXT]],
  ['asks for it in clear, byte by byte', [...CLEARTEXT].map((byte) => Buffer.from([byte]))],
  ['asks for its MD5', [MD5]],
  ['begins with SCRAM, then asks for it in clear', [Buffer.concat([SASL, CLEARTEXT])]],
  ['asks for nothing', [Buffer.concat([OK, READY])]],
  ['begins with SCRAM, then asks for nothing', [Buffer.concat([SASL, OK, READY])]],
])(
  'a program that %s on the port of a dead server gets no password and is not believed',
  async (_what, answer) => {
    const other = await listenInstead(answer);
    const client = new pg.Client({
      host: '127.0.0.1',
      port: other.port,
      user: 'service',
      password: 'hunter2',
      database: 'shop',
      ssl: false,
      stream: scramOnlySocket,
    });
    client.on('error', () => undefined);
    // When all of it comes at once, pg takes itself for connected; the socket is gone all the same.
    await expect(client.connect().then(() => client.query('select 1'))).rejects.toThrow(
      /SCRAM|not queryable|terminated/,
    );
    expect(other.received()).toContain('service');
    expect(other.received()).not.toContain('hunter2');
    expect(other.received()).not.toContain('md5');
  },
);
