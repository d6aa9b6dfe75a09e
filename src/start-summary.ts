import type { Config } from './config.ts';

/** What a person sees when the service is up: where everything is, and three calls to try. */
export function startSummary(url: string, config: Config, databaseUrl: string): string {
  const base = url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//127.0.0.1:');
  const embedded = config.databaseUrl === undefined;
  const lines = [
    '',
    '  Orders & Inventory',
    '',
    `  API        ${base}`,
    `  Docs       ${base}/docs  (try it out)`,
    `  Reference  ${base}/redoc`,
    `  Database   ${embedded ? databaseUrl : withoutPassword(databaseUrl)}${embedded ? '  (embedded)' : ''}`,
    `  Access     ${config.environment === 'production' ? 'production' : 'open: anyone who reaches this address'}`,
    '',
    '  Try it:',
    '',
    `  curl ${base}/health`,
    `  curl ${base}/products -H 'content-type: application/json' \\`,
    `    -d '{"sku":"MUG-BLUE","name":"Blue mug","price":29.99,"stock":100}'`,
    `  curl ${base}/orders -H 'content-type: application/json' -d '{"product_id":1,"quantity":2}'`,
    '',
    '',
  ];
  return lines.join('\n');
}

function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  if (url.password !== '') url.password = '***';
  return url.href;
}
