import {
  type DatabaseIntrospector,
  type DatabaseMetadata,
  type Kysely,
  PostgresAdapter,
  type SchemaMetadata,
  sql,
  type TableMetadata,
} from 'kysely';

/**
 * What the migrator asks: whether its own tables are there. It finds them as every statement does, along the search
 * path: tables of another application in another schema are not ours, and it does not matter what is created and
 * dropped there at this moment.
 */
export class MigrationTables implements DatabaseIntrospector {
  readonly #db: Kysely<unknown>;

  constructor(db: Kysely<unknown>) {
    this.#db = db;
  }

  async getSchemas(): Promise<SchemaMetadata[]> {
    return [];
  }

  async getTables(): Promise<TableMetadata[]> {
    const { rows } = await sql<{ name: string }>`
      select name from unnest(array['kysely_migration', 'kysely_migration_lock']) as t (name)
       where to_regclass(name) is not null
    `.execute(this.#db);
    return rows.map(({ name }) => ({ name, isView: false, columns: [] }));
  }

  async getMetadata(): Promise<DatabaseMetadata> {
    return { tables: await this.getTables() };
  }
}

/** The migrations' own transaction takes the lock that keeps them apart (`MIGRATION_BEGIN` in client-config.ts). */
export class MigrationAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}

  override async releaseMigrationLock(): Promise<void> {}
}
