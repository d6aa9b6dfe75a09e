import { spawnSync } from 'node:child_process';

import { readArguments, runScript } from './support/arguments.ts';
import { withScratchDatabase } from './support/scratch-database.ts';

const FILE = 'src/db/schema.ts';
const USAGE = `Writes ${FILE} from the migrations, run on a PostgreSQL that is started for it.

  npm run generate:db

  --verify   write nothing, and fail when the file is not what the migrations make

Exit code: 0 when it is, 1 when not, 2 for wrong arguments.
`;

/** The columns that the driver turns into numbers and texts (db/type-parsers.ts) are typed as such. */
const MAPPING = '{"timestamptz":"string","int8":"number"}';

await runScript(USAGE, async (args) => {
  const { verify } = readArguments(args, { verify: { type: 'boolean', default: false } });
  return withScratchDatabase(async (url) => {
    const options = [
      ['--dialect', 'postgres', '--url', url, '--out-file', FILE],
      ['--date-parser', 'string', '--type-mapping', MAPPING, '--exclude-pattern', 'kysely_*'],
      verify ? ['--verify'] : [],
    ];
    const command = ['--no-install', 'kysely-codegen', ...options.flat()];
    return spawnSync('npx', command, { stdio: 'inherit' }).status ?? 1;
  });
});
