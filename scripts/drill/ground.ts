import pg from 'pg';

import type { Children } from '../support/children.ts';
import { openPostgres } from '../support/postgres.ts';
import { createServiceClient, type ServiceClient } from '../support/service-client.ts';
import { type ServiceProcess, startService } from '../support/service-process.ts';
import type { Fault } from './broken-server.ts';
import type { DrillRun } from './drill.ts';

/** The service and the database that a drill runs on. */
export interface Ground {
  /** The service: the drill reads and checks its answers only. */
  services: readonly ServiceClient[];
  /** Where the attack goes: the services, or under --control the handlers that are broken on purpose. */
  attacked: readonly ServiceClient[];
  webhookSecret: string;
  /** Undefined for a service that the drill did not start. */
  own: OwnGround | undefined;
}

export interface OwnGround {
  /** PostgreSQL finds a deadlock, and counts it, before lock_timeout ends it as a wait like any other. */
  countsDeadlocks: boolean;
  /** SQL on a connection of its own. */
  query<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  /** SIGKILL for an instance, which is then started again at its address. */
  killAndRestart(instance: number): Promise<void>;
  /** Ends all instances and broken handlers, in good order. */
  stop(): Promise<void>;
}

export interface GroundOptions {
  /** The faults of the attacked handlers under --control. */
  fault: Fault;
  /** Settings of the services. */
  env?: Record<string, string>;
}

/** The secret of the services that a drill starts. */
export const WEBHOOK_SECRET = 'drill-webhook-secret';
/** As many as it takes to show that the promises do not depend on being alone. */
const INSTANCES = 2;

export async function openGround(run: DrillRun, options: GroundOptions): Promise<Ground> {
  const { target } = run.options;
  if (target === undefined) return openOwn(run, options);
  const client = createServiceClient(target);
  run.note(`One service at ${target.baseUrl}.`);
  return {
    services: [client],
    attacked: [client],
    webhookSecret: target.webhookSecret,
    own: undefined,
  };
}

async function openOwn(run: DrillRun, { fault, env = {} }: GroundOptions): Promise<Ground> {
  const { opened, children, options } = run;
  const postgres = await openPostgres(opened, options.databaseUrl, 'drill');
  const databaseUrl = await postgres.createDatabase('shop');
  const countsDeadlocks = await tellDeadlocksSoon(postgres.url, databaseUrl);
  opened.add(() => children.stopAll());
  const settings = { WEBHOOK_SECRET, ...env, DATABASE_URL: databaseUrl };
  const instances: ServiceProcess[] = [];
  for (let count = 1; count <= INSTANCES; count += 1) instances.push(await startService(children, settings));
  // Drills move the time at which an order expires, which a placed order otherwise keeps.
  await onceQuery(databaseUrl, 'alter table orders disable trigger orders_as_placed');
  const services = instances.map(({ url }) => clientOf(url));
  const attacked = options.control ? await startBroken(children, fault, databaseUrl) : services;
  run.note(
    `${INSTANCES} instances on one database, ` +
      (postgres.dataDir === undefined
        ? 'made for this beside DATABASE_URL.'
        : 'on a PostgreSQL of their own.'),
  );
  const own: OwnGround = {
    countsDeadlocks,
    query: (text, values) => onceQuery(databaseUrl, text, values),
    async killAndRestart(instance) {
      const killed = instances[instance] as ServiceProcess;
      await killed.kill();
      instances[instance] = await startService(children, settings, {
        port: Number(new URL(killed.url).port),
      });
    },
    stop: () => children.stopAll(),
  };
  return { services, attacked, webhookSecret: WEBHOOK_SECRET, own };
}

export function clientOf(baseUrl: string): ServiceClient {
  return createServiceClient({ baseUrl, apiKey: undefined });
}

async function startBroken(children: Children, fault: Fault, databaseUrl: string): Promise<ServiceClient[]> {
  const clients: ServiceClient[] = [];
  for (let count = 1; count <= INSTANCES; count += 1) {
    const module = new URL('broken-server.ts', import.meta.url);
    clients.push(clientOf((await children.serve(module, [fault], { DATABASE_URL: databaseUrl })).url));
  }
  return clients;
}

/** @returns whether it could be done: only a superuser may */
async function tellDeadlocksSoon(adminUrl: string, databaseUrl: string): Promise<boolean> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const text = `alter database ${name} set deadlock_timeout = '200ms'`;
  try {
    await onceQuery(adminUrl, text);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === '42501') return false;
    throw error;
  }
}

/** On a connection that is opened for it: one that is kept would be among those that a drill kills. */
export async function onceQuery<R extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'drill' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<R>(text, values)).rows;
  } finally {
    await client.end();
  }
}
