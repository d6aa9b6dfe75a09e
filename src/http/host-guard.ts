import type { IncomingMessage } from 'node:http';

import { AppError } from '../lib/errors.ts';
import { shorten } from '../lib/shorten.ts';
import type { HeadCheck } from './framing.ts';

export interface HostRules {
  /** Names besides loopback under which the service answers; undefined: under every name. */
  names: readonly string[] | undefined;
  /** Whether a web page of another origin may write. */
  allowCrossSite: boolean;
}

/**
 * Any web page can send requests to a service on its reader's own machine. While the service is open, nothing but these
 * two checks keeps such pages out.
 *
 * - A page that reads answers has made its own name point here (DNS rebinding), and that name is in Host.
 * - A page that writes without reading comes from another origin, and the browser says so. Servers, curl and scripts
 *   send neither Origin nor Sec-Fetch-Site; so do payment providers, whose deliveries are signed besides.
 */
export function createHostChecks({ names, allowCrossSite }: HostRules): HeadCheck[] {
  return [
    ...(names === undefined ? [] : [refuseOtherHosts(names)]),
    ...(allowCrossSite ? [] : [refuseOtherOrigins]),
  ];
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

const CROSS_SITE = new AppError(
  'cross_site_request',
  'A web page of another origin may not change anything here',
);

function refuseOtherOrigins(request: IncomingMessage): AppError | undefined {
  return SAFE_METHODS.has(request.method ?? '') || !isCrossSite(request) ? undefined : CROSS_SITE;
}

function refuseOtherHosts(names: readonly string[]): HeadCheck {
  const allowed = new Set(names.map((name) => name.toLowerCase()));
  const isAllowed = (host: string) => {
    const name = hostname(host);
    return LOOPBACK.test(name) || allowed.has(name);
  };
  // Nearly every request names the same host, so the last one that passed is compared first.
  let lastAllowed: string | undefined;
  return ({ headers: { host }, url = '' }) => {
    // A target with a host of its own overrules the header (RFC 9112, 3.2.2).
    const named = url.startsWith('/') ? undefined : AUTHORITY.exec(url)?.[1];
    if (named !== undefined && !isAllowed(named)) return misdirected(named);
    // HTTP/1.0 may come without Host. No browser speaks it, so no page stands behind it.
    if (host === undefined || host === lastAllowed) return undefined;
    if (!isAllowed(host)) return misdirected(host);
    lastAllowed = host;
    return undefined;
  };
}

const AUTHORITY = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** The name in `name:port`, in small letters and without the dot that may end it. */
function hostname(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
}

function misdirected(host: string): AppError {
  const detail = `This service does not answer for ${shorten(host) || 'an empty host'}; ALLOWED_HOSTS adds names`;
  return new AppError('misdirected_request', detail);
}

/** Sec-Fetch-Site is the browser's own judgement; without it, in old browsers, the origin must be the host called. */
function isCrossSite({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { origin, host = '' } = headers;
  if (origin === undefined) return false;
  const calling = originHost(origin);
  return calling === undefined || calling !== originHost(`http://${host}`);
}

/** The host and port of an origin as a browser writes them; undefined for `null` and for what is none. */
function originHost(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
