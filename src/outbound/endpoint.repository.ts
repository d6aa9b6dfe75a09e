import { sql, type UpdateObject } from 'kysely';

import { onPage } from '../db/page-query.ts';
import type { DB } from '../db/schema.ts';
import type { Db, Tx } from '../db/types.ts';
import type { PageRequest } from '../lib/page.ts';
import type { Endpoint } from './endpoint.schemas.ts';

const columns = [
  'id',
  'url',
  'description',
  'types',
  'ordering',
  'status',
  'failing_since',
  'secret_previous_until',
  'version',
  'created_at',
  'updated_at',
] as const;

/** What a caller may choose. */
export type EndpointFields = Pick<Endpoint, 'url' | 'description' | 'types' | 'ordering'>;

/** Encrypted secrets. */
export interface StoredSecrets {
  readonly secret: string;
  readonly secret_previous: string | null;
}

type EndpointRow = Omit<Endpoint, 'ordering' | 'status' | 'previous_secret_until'> & {
  ordering: string;
  status: string;
  secret_previous_until: string | null;
};

function rowToEndpoint({ secret_previous_until, ...row }: EndpointRow): Endpoint {
  return {
    ...row,
    // The checks of the table let no others in.
    ordering: row.ordering as Endpoint['ordering'],
    status: row.status as Endpoint['status'],
    previous_secret_until: secret_previous_until,
  };
}

/** An id before its row, because the encryption of the secret names it. */
export async function drawEndpointId(tx: Tx): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    select nextval(pg_get_serial_sequence('webhook_endpoints', 'id')) as id
  `.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new Error('a sequence returned no id');
  return row.id;
}

/**
 * Inserts an endpoint that gets the events which are not committed yet. The caller holds the lock of the consumer, so that
 * no event is passed on between this statement's snapshot and its commit.
 */
export async function insertEndpoint(
  tx: Tx,
  endpoint: EndpointFields & { id: number; secret: string },
): Promise<Endpoint> {
  const row = await tx
    .insertInto('webhook_endpoints')
    .values({
      ...endpoint,
      epoch: sql<number>`(select max(epoch) from event_epochs)`,
      snapshot: sql<string>`pg_current_snapshot()`,
    })
    .returning(columns)
    .executeTakeFirstOrThrow();
  return rowToEndpoint(row);
}

/** How many there are, also those that are paused or disabled. */
export async function countEndpoints(db: Db): Promise<number> {
  const { count } = await db
    .selectFrom('webhook_endpoints')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow();
  return count;
}

export async function findEndpoint(db: Db, id: number): Promise<Endpoint | undefined> {
  const row = await db
    .selectFrom('webhook_endpoints')
    .select(columns)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return row && rowToEndpoint(row);
}

/** An endpoint, apart from its secrets: answers and events are made of the former. */
export interface LockedEndpoint {
  readonly endpoint: Endpoint;
  readonly secrets: StoredSecrets;
}

/** Keeps changes by callers and by relays apart until the transaction ends. */
export async function lockEndpoint(tx: Tx, id: number): Promise<LockedEndpoint | undefined> {
  const row = await tx
    .selectFrom('webhook_endpoints')
    .select([...columns, 'secret', 'secret_previous'])
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { secret, secret_previous, ...rest } = row;
  return { endpoint: rowToEndpoint(rest), secrets: { secret, secret_previous } };
}

export async function listEndpoints(db: Db, page: PageRequest): Promise<Endpoint[]> {
  const query = db.selectFrom('webhook_endpoints').select(columns).where('deleted_at', 'is', null);
  const rows = await onPage(query, 'webhook_endpoints', page).execute();
  return rows.map(rowToEndpoint);
}

export async function updateEndpoint(
  tx: Tx,
  id: number,
  fields: Partial<EndpointFields> & { status?: Endpoint['status'] },
): Promise<Endpoint> {
  return change(tx, id, fields);
}

/** Every change that callers see raises the version. */
async function change(tx: Tx, id: number, values: UpdateObject<DB, 'webhook_endpoints'>): Promise<Endpoint> {
  const row = await tx
    .updateTable('webhook_endpoints')
    .set({ ...values, version: sql`version + 1`, updated_at: sql`now()` })
    .where('id', '=', id)
    .returning(columns)
    .executeTakeFirstOrThrow();
  return rowToEndpoint(row);
}

/** What relays change. */
export interface EndpointChange {
  readonly failing: boolean;
  readonly status?: 'disabled';
}

export async function markEndpoint(
  tx: Tx,
  id: number,
  { failing, status }: EndpointChange,
): Promise<Endpoint> {
  return change(tx, id, {
    failing_since: failing ? sql`coalesce(failing_since, now())` : null,
    ...(status === undefined ? {} : { status }),
  });
}

/** Puts a new secret in front of the one before, which goes on signing for so many hours. */
export async function updateSecret(
  tx: Tx,
  id: number,
  { secret, secret_previous }: StoredSecrets,
  overlapHours: number,
): Promise<Endpoint> {
  return change(tx, id, {
    secret,
    secret_previous,
    secret_previous_until: sql`now() + make_interval(hours => ${overlapHours})`,
  });
}

/** Writes secrets that were encrypted anew; nothing else of the endpoint changes. */
export async function replaceSecrets(tx: Tx, id: number, secrets: StoredSecrets): Promise<void> {
  await tx
    .updateTable('webhook_endpoints')
    .set({ ...secrets })
    .where('id', '=', id)
    .execute();
}

/** Of endpoints that are not deleted, oldest first. */
export async function listSecrets(db: Db): Promise<({ id: number } & StoredSecrets)[]> {
  return db
    .selectFrom('webhook_endpoints')
    .select(['id', 'secret', 'secret_previous'])
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .execute();
}

/** From here on the endpoint is not there for callers; its deliveries are deleted later, in batches. */
export async function markEndpointDeleted(tx: Tx, id: number): Promise<void> {
  await tx.updateTable('webhook_endpoints').set({ deleted_at: sql`now()` }).where('id', '=', id).execute();
}
