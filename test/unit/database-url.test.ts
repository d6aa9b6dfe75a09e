import { afterEach, describe, expect, test } from 'vitest';

import { readEnvironment } from '../../src/config.ts';
import { clientConfig } from '../../src/db/client-config.ts';
import { readDatabaseUrl } from '../../src/db/database-url.ts';

describe('DATABASE_URL', () => {
  test.each([
    ['postgres://user:pw@/shop?host=/cloudsql/p:r:i', '/cloudsql/p:r:i'],
    ['postgres://u:p@localhost/shop?host=/var/run/postgresql', '/var/run/postgresql'],
    ['postgres:///shop?host=/run/pg&user=u', '/run/pg'],
    ['postgresql://u:p@db.example:6432/shop', 'db.example'],
    ['postgres://u:p%2C@db.example/shop', 'db.example'],
  ])('%s is taken', (url, host) => {
    expect(readDatabaseUrl(url)).toMatchObject({ config: { host, database: 'shop' } });
    expect(clientConfig({ url, pgbouncer: false })).toMatchObject({ host, database: 'shop' });
  });

  test.each([
    'postgres://u:p@one.example,two.example/shop',
    'postgres://u:p@one.example:5432,two.example:5433/shop',
    'postgres://u:p@/shop?host=one.example,two.example',
  ])('a list of hosts is refused in a sentence: %s', (url) => {
    expect(readDatabaseUrl(url).fault).toMatch(/^must name one host: .* HAProxy or PgBouncer/);
  });

  test.each(['mysql://db/shop', 'db.example/shop', 'postgres://[', 'http://db.example/shop'])(
    '%s is refused',
    (url) => {
      expect(readDatabaseUrl(url).fault).toMatch(/^must look like postgres:/);
    },
  );
});

describe('PG* variables', () => {
  const given = { PGOPTIONS: '-c search_path=x', PGSSLMODE: 'require', PGHOST: 'x', PGPASSFILE: '/x' };
  afterEach(() => {
    for (const name of Object.keys(given)) Reflect.deleteProperty(process.env, name);
  });

  test('are no settings of the service: pg gets none of them but where a password is', () => {
    Object.assign(process.env, given);
    const read = readEnvironment();
    expect(Object.keys(given).filter((name) => name in process.env || name in read)).toEqual(['PGPASSFILE']);
  });
});
