import type { Kysely, Transaction } from 'kysely';

import type { DB } from './schema.ts';

/** Reads, each on a connection of its own. */
export type Db = Kysely<DB>;

/** An open transaction: what a function takes that locks a row, or whose writes belong together. */
export type Tx = Transaction<DB>;
