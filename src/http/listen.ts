import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';

import type { FastifyInstance } from 'fastify';

import { StartupError } from '../lib/startup-error.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Listens for a moment and closes again: a port that is in use is found before a database is created or touched.
 * @throws StartupError
 */
export async function requireFreePort(address: ListenAddress): Promise<void> {
  const server = createServer();
  try {
    server.listen({ host: await firstAddress(address.host), port: address.port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(address, error);
  }
  server.close();
  await once(server, 'close');
}

/** @throws StartupError */
export async function listen(app: FastifyInstance, address: ListenAddress): Promise<void> {
  try {
    await app.listen({ host: await firstAddress(address.host), port: address.port });
  } catch (error) {
    throw cannotListen(address, error);
  }
}

/**
 * The address to listen on for a name. A name such as `localhost` may have several, for which Fastify would open servers
 * of its own that no limit, no drain and no error handler of ours reaches.
 */
export async function firstAddress(host: string): Promise<string> {
  const { address } = await lookup(host, { order: 'ipv4first' });
  return address;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not use that port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EINVAL: 'the address is not complete; one that begins with fe80: needs its interface, as in fe80::1%eth0',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'no name server answers',
};

/** The system has many more codes than these. Each is a matter of HOST and PORT, so none of them gives a stack. */
function cannotListen({ host, port }: ListenAddress, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  if (code === 'EADDRINUSE') {
    return new StartupError(
      `Port ${port} on ${host} is in use. Stop what listens there, or set PORT to another one.`,
      { cause: error },
    );
  }
  const reason = REASONS[code] === undefined ? code : `${code}: ${REASONS[code]}`;
  return new StartupError(`Cannot listen on ${host}:${port} (${reason}). Set HOST and PORT to others.`, {
    cause: error,
  });
}
