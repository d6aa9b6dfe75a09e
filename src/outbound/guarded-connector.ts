import { Resolver } from 'node:dns/promises';
import type { Socket } from 'node:net';
import { callbackify } from 'node:util';

import { buildConnector } from 'undici';

import { addressIn, type EndpointRules, isAllowedAddress } from './address-guard.ts';

/*
 * Connects to endpoints. A name that is checked and then given to a library to connect to is resolved twice, and its
 * second answer may be another (DNS rebinding). Here the name is resolved once, every address of the answer is judged, and
 * the connection is opened to one of these addresses, never to the name. The name is still what the certificate must have.
 */

/** All addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

/** The name of an endpoint leads to an address that the rules do not allow. It does not say which. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
}

/** The name of an endpoint cannot be resolved. */
export class UnresolvedError extends Error {
  override readonly name = 'UnresolvedError';
}

/** A receiver accepts connections in far less; the whole delivery has 15 s (sender.ts). */
const CONNECT_TIMEOUT_MS = 5000;
const RESOLVE_TIMEOUT_MS = 2000;

export interface ConnectorOptions {
  readonly rules: EndpointRules;
  readonly resolve: Resolve;
  /** A resolver that does not answer must not keep a connection waiting for ever. */
  readonly resolveTimeoutMs?: number;
  /** The certificate authorities to trust instead of Node's, for tests. */
  readonly ca?: string;
}

/** For undici's Agent. Certificates are verified whatever the environment says. */
export function createGuardedConnector({
  rules,
  resolve,
  resolveTimeoutMs = RESOLVE_TIMEOUT_MS,
  ca,
}: ConnectorOptions): buildConnector.connector {
  const open = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  });
  const connectTo = (options: buildConnector.Options, address: string) =>
    new Promise<Socket>((onConnected, onFailed) => {
      // The address in place of the name. undici takes the certificate's name from `servername` or `host`.
      open({ ...options, hostname: address }, (error, socket) => {
        if (error !== null) return onFailed(error);
        // By construction it is the address that was judged. No byte of the request has been written yet.
        if (isAllowedAddress(socket.remoteAddress ?? '', rules)) return onConnected(socket);
        socket.destroy();
        onFailed(new AddressRefusedError('connected to an address that is not allowed'));
      });
    });
  const connect = async (options: buildConnector.Options): Promise<Socket> => {
    const addresses = await resolveAllowed(options.hostname, { rules, resolve, resolveTimeoutMs });
    let failure: unknown;
    for (const address of oneOfEachFamily(addresses)) {
      try {
        return await connectTo(options, address);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  };
  const connectAndCall = callbackify(connect);
  return (options, callback) => {
    // undici takes an error or a socket, and null for the other.
    connectAndCall(options, (error: Error | null, socket) => {
      if (error === null) callback(null, socket);
      else callback(error, null);
    });
  };
}

/**
 * The addresses of a host, of which each is allowed. One that is not refuses all: a name that leads to a public address
 * and to a private one is an attempt.
 * @throws AddressRefusedError, UnresolvedError
 */
export async function resolveAllowed(
  host: string,
  { rules, resolve, resolveTimeoutMs = RESOLVE_TIMEOUT_MS }: Omit<ConnectorOptions, 'ca'>,
): Promise<readonly string[]> {
  const literal = addressIn(host);
  const addresses = literal === undefined ? await within(resolveTimeoutMs, resolve(host)) : [literal];
  if (addresses.length === 0) throw new UnresolvedError('the name has no address');
  if (!addresses.every((address) => isAllowedAddress(address, rules))) {
    throw new AddressRefusedError('the name leads to an address that is not allowed');
  }
  return addresses;
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new UnresolvedError('the name servers did not answer')), milliseconds);
  });
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}

/** IPv4 first: a host without IPv6 is more common than a receiver without IPv4. */
function oneOfEachFamily(addresses: readonly string[]): string[] {
  const families = [addresses.find((a) => !a.includes(':')), addresses.find((a) => a.includes(':'))];
  return families.filter((address) => address !== undefined);
}

/**
 * Asks the name servers of the system. Not by `dns.lookup`, which keeps one of the four threads of the process busy until
 * the answer is there: a few slow names would stop all work with files. So the hosts file is not asked, and `localhost`
 * is a rule.
 */
export function createResolver(): Resolve {
  return async (hostname) => {
    if (/(^|\.)localhost\.?$/i.test(hostname)) return ['127.0.0.1', '::1'];
    const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MS / 2, tries: 2 });
    const timer = setTimeout(() => resolver.cancel(), RESOLVE_TIMEOUT_MS);
    try {
      const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
      const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (addresses.length === 0) throw new UnresolvedError('the name cannot be resolved');
      return addresses;
    } finally {
      clearTimeout(timer);
    }
  };
}
