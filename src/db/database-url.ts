import type { ClientConfig } from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';

/** What a `DATABASE_URL` says, or the sentence that says what is wrong with it; a wrong one is never repeated, for it may hold a password. */
export type DatabaseUrl = { config: ClientConfig; fault?: undefined } | { fault: string };

const SHAPE = 'must look like postgres://user:password@host:5432/database';
const ONE_HOST =
  'must name one host: for several servers, put HAProxy or PgBouncer in front of them and name that';

/** pg's own parser judges, so that every form that pg takes is taken here, such as a socket's folder in `?host=`. */
export function readDatabaseUrl(text: string): DatabaseUrl {
  if (!/^postgres(ql)?:\/\//i.test(text)) return { fault: SHAPE };
  // libpq takes a list of hosts; pg would look for one host of that name, or refuse the URL.
  const authority = /^[^/]+\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(text)?.[1] ?? '';
  if (authority.includes(',')) return { fault: ONE_HOST };
  try {
    const config = parseIntoClientConfig(text);
    return config.host?.includes(',') ? { fault: ONE_HOST } : { config };
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    // The parser reads the certificates that the URL names.
    if (path !== undefined) return { fault: `names the file ${path}, which cannot be read (${code})` };
    return { fault: SHAPE };
  }
}

/** @throws Error for a URL that `readDatabaseUrl` finds fault with, which the settings have asked before */
export function parseDatabaseUrl(text: string): ClientConfig {
  const read = readDatabaseUrl(text);
  if (read.fault !== undefined) throw new Error(`the database's URL ${read.fault}`);
  return read.config;
}
