import type { Config } from './config.ts';
import type { Log } from './logger.ts';

export interface Summary {
  readonly api: string;
  readonly docs: string;
  readonly reference: string;
  /** Host, port and name of the database: never a user or a password. */
  readonly database: string;
  readonly embedded: boolean;
  readonly access: string;
}

/** Where everything is, once the service listens. */
export function summarize(url: string, config: Config, databaseUrl: string): Summary {
  const api = url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//127.0.0.1:');
  return {
    api,
    docs: `${api}/docs`,
    reference: `${api}/redoc`,
    database: addressOf(databaseUrl),
    embedded: config.databaseUrl === undefined,
    access: 'open: every caller that reaches this address can read and change everything',
  };
}

/** pg also takes host and port in the query of a URL, and a password there, too. */
function addressOf(databaseUrl: string): string {
  if (!URL.canParse(databaseUrl)) return 'as DATABASE_URL says';
  const { hostname, port, pathname, searchParams } = new URL(databaseUrl);
  const host = searchParams.get('host') ?? hostname;
  return `${host || 'localhost'}:${searchParams.get('port') ?? (port || '5432')}${pathname}`;
}

/** For a person at a terminal, with three calls to try; else as one line of JSON. */
export function sayStarted(summary: Summary, { tell, logger }: Pick<Log, 'tell' | 'logger'>): void {
  if (tell(textOf(summary))) return;
  const { api, docs, database, access } = summary;
  logger.info({ url: api, docs, database, access }, 'listening');
}

export function sayStopped(
  { databaseUrl, dataDir }: Pick<Config, 'databaseUrl' | 'dataDir'>,
  { tell, logger }: Pick<Log, 'tell' | 'logger'>,
): void {
  const where = databaseUrl === undefined ? ` The data is in ${dataDir}.` : '';
  if (!tell(`Stopped.${where}\n`)) logger.info('stopped');
}

function textOf({ api, docs, reference, database, embedded, access }: Summary): string {
  const lines = [
    '',
    '  Orders & Inventory',
    '',
    `  API        ${api}`,
    `  Docs       ${docs}  (try it out)`,
    `  Reference  ${reference}`,
    `  Database   ${database}${embedded ? '  (embedded; npm run db-shell opens psql)' : ''}`,
    `  Access     ${access}`,
    '',
    '  Try it:',
    '',
    `  curl ${api}/health`,
    `  curl ${api}/products -H 'content-type: application/json' \\`,
    `    -d '{"sku":"MUG-BLUE","name":"Blue mug","price":29.99,"stock":100}'`,
    `  curl ${api}/orders -H 'content-type: application/json' -d '{"product_id":1,"quantity":2}'`,
    '',
    '',
  ];
  return lines.join('\n');
}
