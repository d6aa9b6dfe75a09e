import ipaddr from 'ipaddr.js';

/*
 * Which addresses a webhook may be sent to. The URL of an endpoint is the choice of a caller, so it must not lead the
 * service to itself, to its neighbours or to the metadata of its cloud. This file judges; `guarded-connector.ts` asks it
 * about every address before it connects to it.
 *
 * Addresses are allowed, not denied: of IPv6, only what is given out to the internet. So no form that carries an IPv4
 * address in an IPv6 one (mapped, NAT64, 6to4, Teredo) needs a rule of its own to be refused.
 */

export interface EndpointRules {
  /** Also http, any port, and addresses of loopback and of private networks: for development. */
  readonly insecure: boolean;
}

type Networks = readonly string[];

const PUBLIC_IPV6: Networks = ['2000::/3'];
/** Within the former: protocol assignments with Teredo, documentation (twice) and 6to4. */
const SPECIAL_IPV6: Networks = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];
/** IANA's registry of special addresses, multicast and what is reserved. */
const SPECIAL_IPV4: Networks = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
];
/** What insecure rules add. Link-local addresses are not among them: clouds serve credentials there. */
const PRIVATE_IPV4: Networks = ['10.0.0.0/8', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
const PRIVATE_IPV6: Networks = ['::1/128', 'fc00::/7'];

/** Whether a webhook may be sent to an address. Text that is no plain address is refused. */
export function isAllowedAddress(text: string, { insecure }: EndpointRules): boolean {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    const address = ipaddr.IPv4.parse(text);
    return !isIn(address, SPECIAL_IPV4) || (insecure && isIn(address, PRIVATE_IPV4));
  }
  if (!ipaddr.IPv6.isValid(text)) return false;
  const address = ipaddr.IPv6.parse(text);
  if (insecure && isIn(address, PRIVATE_IPV6)) return true;
  return isIn(address, PUBLIC_IPV6) && !isIn(address, SPECIAL_IPV6);
}

function isIn(address: ipaddr.IPv4 | ipaddr.IPv6, networks: Networks): boolean {
  return networks.some((network) => address.match(ipaddr.parseCIDR(network)));
}

/** The address that a host of a URL is, without the brackets of IPv6; undefined for a name. */
export function addressIn(host: string): string | undefined {
  const text = host.replace(/^\[(.*)\]$/, '$1');
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text) ? text : undefined;
}

const URL_LENGTH_MAX = 2000;

/**
 * Reads the URL of an endpoint. `URL` has written numbers as addresses by then (`0x7f.1`, `2130706433`, `①②⑦.0.0.1`).
 * @returns the URL as it is stored and used, or a sentence that says what is wrong with it
 */
export function readEndpointUrl(text: string, rules: EndpointRules): { url: URL } | { fault: string } {
  if (text.length > URL_LENGTH_MAX) return { fault: `must have at most ${URL_LENGTH_MAX} characters` };
  if (!URL.canParse(text)) return { fault: 'must be a URL such as https://shop.example/hooks' };
  const url = new URL(text);
  const schemes = rules.insecure ? ['https:', 'http:'] : ['https:'];
  if (!schemes.includes(url.protocol)) return { fault: 'must begin with https://' };
  if (url.username !== '' || url.password !== '') return { fault: 'must not have a user or a password' };
  if (url.hash !== '') return { fault: 'must not have a fragment' };
  // A dot at the end makes a name absolute. It leads to the same host, but no certificate has it.
  url.hostname = url.hostname.replace(/\.$/, '');
  // `URL` leaves the port of the scheme out.
  if (url.port !== '' && !rules.insecure) return { fault: 'must not have a port other than 443' };
  const address = addressIn(url.hostname);
  const isAllowed = address === undefined ? isName(url.hostname, rules) : isAllowedAddress(address, rules);
  return isAllowed ? { url } : { fault: NOT_PUBLIC };
}

export const NOT_PUBLIC = 'must be the address of a public host';

/** Names that no public server has (RFC 6761, 6762, 8375, and ICANN's `internal`). Other names are judged by their addresses. */
const SPECIAL_NAMES = ['localhost', 'local', 'internal', 'home.arpa', 'onion', 'test', 'invalid'];

function isName(name: string, { insecure }: EndpointRules): boolean {
  if (name === '' || name.split('.').includes('')) return false;
  if (insecure) return true;
  if (!name.includes('.')) return false;
  return !SPECIAL_NAMES.some((special) => name === special || name.endsWith(`.${special}`));
}
