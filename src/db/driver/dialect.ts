import {
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type PostgresAdapter,
  PostgresQueryCompiler,
} from 'kysely';

import { MigrationAdapter, MigrationTables } from '../migration-dialect.ts';

/** Kysely for PostgreSQL, on a driver of ours. */
export class PgDialect implements Dialect {
  readonly #createDriver: () => Driver;

  constructor(createDriver: () => Driver) {
    this.#createDriver = createDriver;
  }

  createDriver(): Driver {
    return this.#createDriver();
  }

  createQueryCompiler(): PostgresQueryCompiler {
    return new PostgresQueryCompiler();
  }

  createAdapter(): PostgresAdapter {
    return new MigrationAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new MigrationTables(db);
  }
}
