import { spawnSync } from 'node:child_process';

import { withScratchDatabase } from './support/scratch-database.ts';

/*
 * Writes src/db/schema.ts from the migrations, or with --verify fails when it is not what they make. The columns that
 * the driver turns into numbers and texts (db/database.ts) are typed as such.
 */
const verify = process.argv.includes('--verify');

const status = await withScratchDatabase(async (url) => {
  const codegen = spawnSync(
    'npx',
    [
      '--no-install',
      'kysely-codegen',
      '--dialect',
      'postgres',
      '--url',
      url,
      '--out-file',
      'src/db/schema.ts',
      '--date-parser',
      'string',
      '--type-mapping',
      '{"timestamptz":"string","int8":"number"}',
      '--exclude-pattern',
      'kysely_*',
      ...(verify ? ['--verify'] : []),
    ],
    { stdio: 'inherit' },
  );
  return codegen.status ?? 1;
});
process.exitCode = status;
