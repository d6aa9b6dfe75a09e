import { DEVELOPMENT_WEBHOOK_SECRET, SETTINGS } from '../../src/settings.ts';
import { UsageError } from './arguments.ts';

export interface ScriptEnvironment {
  /** Without a slash at its end. */
  baseUrl: string;
  webhookSecret: string;
  /** As the service reads them; no secret: Stripe is off there. */
  stripe: { secret: string | undefined; livemode: boolean };
  apiKey: string | undefined;
}

/** For the usage texts of the scripts that call a running service. */
export const ENVIRONMENT_USAGE = `  BASE_URL         where the service is; default: the HOST and PORT that it has, http://127.0.0.1:8000
  WEBHOOK_SECRET   the one that the service has; default: the development secret
  API_KEY          sent as Authorization: Bearer, when set

A .env file is read as the service reads it.
`;

/** An empty variable counts as not set, as in the service. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): ScriptEnvironment {
  const baseUrl = env['BASE_URL'] || addressOf(env);
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new UsageError(`BASE_URL must look like https://shop.example.com, not "${baseUrl}".`);
  }
  return {
    // As URLs are written, so that links in answers can be held against it.
    baseUrl: new URL(baseUrl).href.replace(/\/+$/, ''),
    webhookSecret: env['WEBHOOK_SECRET'] || DEVELOPMENT_WEBHOOK_SECRET,
    stripe: {
      secret: env['STRIPE_WEBHOOK_SECRET'] || undefined,
      livemode: /^(true|1)$/.test(env['STRIPE_LIVEMODE'] || String(env['NODE_ENV'] === 'production')),
    },
    apiKey: env['API_KEY'] || undefined,
  };
}

/** All interfaces are an address to listen on, not one to call: loopback is one of them. */
const CALLABLE: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** Where a service with these settings listens. */
function addressOf(env: NodeJS.ProcessEnv): string {
  const host = env['HOST'] || SETTINGS.HOST.fallback;
  const port = env['PORT'] || String(SETTINGS.PORT.fallback);
  if (port === '0') {
    throw new UsageError('PORT 0 takes any free port: set BASE_URL to the address that the service printed.');
  }
  const called = CALLABLE[host] ?? host;
  const url = `http://${called.includes(':') ? `[${called}]` : called}:${port}`;
  if (/^\d{1,5}$/.test(port) && URL.canParse(url) && new URL(url).pathname === '/') return url;
  throw new UsageError(`HOST "${host}" and PORT "${port}" are no address to call: set BASE_URL.`);
}

/**
 * Load is for one's own machine only.
 * @throws UsageError
 */
export function requireLoopback(url: string, name: string): void {
  if (!URL.canParse(url)) throw new UsageError(`${name} is not a URL.`);
  const { hostname } = new URL(url);
  if (!/^(127(\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname)) {
    throw new UsageError(
      `${name} must name a loopback address such as 127.0.0.1, not ${hostname || 'nothing'}.`,
    );
  }
}
