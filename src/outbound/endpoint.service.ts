import { inTransaction } from '../db/transaction.ts';
import type { Db, Tx } from '../db/types.ts';
import { lockConsumer, moveConsumerToEnd } from '../events/consumer.repository.ts';
import { type EventDefinition, type NewEvent, newEvent } from '../events/define-event.ts';
import { appendEvents } from '../events/event.repository.ts';
import type { RequestContext } from '../idempotency/context.ts';
import { type Once, runOnce } from '../idempotency/run-once.tx.ts';
import type { Caller } from '../lib/caller.ts';
import { AppError, validationFailed } from '../lib/errors.ts';
import { type Page, type PageQuery, pageRequest, toPage } from '../lib/page.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { StartupError } from '../lib/startup-error.ts';
import { requireVersion, type VersionMatch } from '../lib/versions.ts';
import { type EndpointRules, NOT_PUBLIC, readEndpointUrl } from './address-guard.ts';
import { endpointNotFound, summaryOf } from './endpoint.ts';
import { newSecret, resealedSecrets, rotatedSecrets, sealSecret } from './endpoint-secrets.ts';
import { endpointCreated, endpointDeleted, endpointRotated, endpointUpdated } from './endpoint.events.ts';
import * as endpoints from './endpoint.repository.ts';
import type { Endpoint, EndpointSummary, EndpointWithSecret } from './endpoint.schemas.ts';
import { AddressRefusedError, type Resolve, resolveAllowed } from './guarded-connector.ts';

/** Each event is copied to every endpoint, so their number multiplies the work of the relay. */
export const ENDPOINTS_MAX = 50;
const OVERLAP_HOURS = 24;

export type EndpointService = ReturnType<typeof createEndpointService>;

export interface EndpointServiceDependencies {
  db: Db;
  lists: Db;
  reads: Db;
  rules: EndpointRules;
  resolve: Resolve;
  /** Undefined without SECRETS_KEY: then there can be no endpoints. */
  box: SecretBox | undefined;
  /** The types of events that there are. */
  types: ReadonlySet<string>;
}

export type EndpointEdit = Partial<endpoints.EndpointFields> & { status?: 'enabled' | 'paused' };

export function createEndpointService(dependencies: EndpointServiceDependencies) {
  const { db, lists, reads, box } = dependencies;
  return {
    /**
     * The secret is in the first answer only: what is stored for the key is without it.
     * @throws AppError endpoint_limit_reached, secrets_key_missing, validation_failed, idempotency_key_reused
     */
    async create(
      fields: endpoints.EndpointFields,
      { caller, key }: RequestContext,
    ): Promise<Once<EndpointWithSecret>> {
      const sealer = box ?? secretsKeyMissing();
      const checked = await checkFields(fields, dependencies);
      const secret = newSecret();
      const once = await inTransaction(db, (tx) =>
        runOnce(tx, key, 201, () =>
          createEndpoint(tx, checked, caller, (id) => sealSecret(sealer, id, secret)),
        ),
      );
      return withSecret(once, secret);
    },

    async get(id: number): Promise<Endpoint> {
      return (await endpoints.findEndpoint(reads, id)) ?? endpointNotFound();
    },

    async list(query: PageQuery): Promise<Page<Endpoint>> {
      const page = pageRequest(query, 'id', {});
      return toPage(await endpoints.listEndpoints(lists, page), page, {});
    },

    /** @throws AppError endpoint_not_found, validation_failed, version_mismatch */
    async edit(id: number, edit: EndpointEdit, { caller, ifMatch }: RequestContext): Promise<Endpoint> {
      const checked = await checkFields(edit, dependencies);
      return inTransaction(db, async (tx) => {
        const { endpoint: before } = await lockForChange(tx, id, ifMatch);
        const changed = fieldsThatDiffer(before, checked);
        if (Object.keys(changed).length === 0) return before;
        const endpoint = await endpoints.updateEndpoint(tx, id, changed);
        const payload = { endpoint: summaryOf(endpoint), before: summaryOf(before) };
        await appendEvents(tx, [newEvent(endpointUpdated, endpoint, payload, caller)]);
        return endpoint;
      });
    },

    /** @throws AppError endpoint_not_found, version_mismatch */
    remove(id: number, context: RequestContext): Promise<void> {
      return inTransaction(db, (tx) => removeEndpoint(tx, id, context));
    },

    /** @throws AppError endpoint_not_found, secrets_key_missing, version_mismatch, idempotency_key_reused */
    async rotate(id: number, { caller, ifMatch, key }: RequestContext): Promise<Once<EndpointWithSecret>> {
      const sealer = box ?? secretsKeyMissing();
      const secret = newSecret();
      const rotateOnce = async (tx: Tx) => {
        const before = await lockForChange(tx, id, ifMatch);
        const secrets = rotatedSecrets(sealer, id, before.secrets, secret);
        const endpoint = await endpoints.updateSecret(tx, id, secrets, OVERLAP_HOURS);
        await appendEvents(tx, [tellOf(endpointRotated, endpoint, caller)]);
        return endpoint;
      };
      const once = await inTransaction(db, (tx) => runOnce(tx, key, 200, () => rotateOnce(tx)));
      return withSecret(once, secret);
    },

    checkSecrets: () => checkSecrets(db, box),
  };
}

/** @returns the fields as they are stored; before the transaction, because it asks name servers */
async function checkFields<T extends Partial<endpoints.EndpointFields>>(
  fields: T,
  { types, rules, resolve }: Pick<EndpointServiceDependencies, 'types' | 'rules' | 'resolve'>,
): Promise<T> {
  const unknown = (fields.types ?? []).filter((type) => !types.has(type));
  if (unknown.length > 0) refuseTypes(unknown, types);
  if (fields.url === undefined) return fields;
  return { ...fields, url: await checkUrl(fields.url, { rules, resolve }) };
}

/**
 * Encrypts with the current key what is encrypted with the one before. Called at the start: secrets that no key opens must
 * not be found out at the first delivery.
 * @throws StartupError when a key that is needed is not set
 */
async function checkSecrets(db: Db, box: SecretBox | undefined): Promise<void> {
  const stored = await endpoints.listSecrets(db);
  const all = stored.flatMap(({ secret, secret_previous }) => [secret, secret_previous ?? secret]);
  if (all.length > 0 && !all.every((sealed) => box?.isKnown(sealed) === true)) {
    throw new StartupError(
      'The secrets of webhook endpoints are encrypted with a key that is neither SECRETS_KEY nor SECRETS_KEY_PREVIOUS. ' +
        'Set the key that they were encrypted with as one of the two.',
    );
  }
  if (box === undefined) return;
  for (const { id } of stored) await inTransaction(db, (tx) => reseal(tx, id, box));
}

/** The lock of the consumer comes first: see `insertEndpoint`. It also makes the count of endpoints exact. */
async function createEndpoint(
  tx: Tx,
  fields: endpoints.EndpointFields,
  caller: Caller,
  seal: (id: number) => string,
): Promise<Endpoint> {
  await lockConsumer(tx, 'webhooks');
  const count = await endpoints.countEndpoints(tx);
  if (count >= ENDPOINTS_MAX) {
    throw new AppError(
      'endpoint_limit_reached',
      `There are ${count} webhook endpoints, and there can be no more`,
    );
  }
  // Without endpoints the consumer stands still; what has happened meanwhile is for nobody.
  if (count === 0) await moveConsumerToEnd(tx, 'webhooks');
  const id = await endpoints.drawEndpointId(tx);
  const endpoint = await endpoints.insertEndpoint(tx, { ...fields, id, secret: seal(id) });
  await appendEvents(tx, [tellOf(endpointCreated, endpoint, caller)]);
  return endpoint;
}

async function removeEndpoint(tx: Tx, id: number, { caller, ifMatch }: RequestContext): Promise<void> {
  const { endpoint } = await lockForChange(tx, id, ifMatch);
  await endpoints.markEndpointDeleted(tx, id);
  const deleted = { ...endpoint, version: endpoint.version + 1 };
  await appendEvents(tx, [tellOf(endpointDeleted, deleted, caller)]);
}

async function lockForChange(tx: Tx, id: number, ifMatch: VersionMatch | undefined) {
  const locked = (await endpoints.lockEndpoint(tx, id)) ?? endpointNotFound();
  requireVersion(ifMatch, locked.endpoint);
  return locked;
}

async function reseal(tx: Tx, id: number, box: SecretBox): Promise<void> {
  const locked = await endpoints.lockEndpoint(tx, id);
  const secrets = locked && resealedSecrets(box, id, locked.secrets);
  if (secrets !== undefined) await endpoints.replaceSecrets(tx, id, secrets);
}

function withSecret({ result, replayed }: Once<Endpoint>, secret: string): Once<EndpointWithSecret> {
  return { result: replayed ? result : { ...result, secret }, replayed };
}

/** @throws AppError validation_failed */
async function checkUrl(
  text: string,
  { rules, resolve }: Pick<EndpointServiceDependencies, 'rules' | 'resolve'>,
): Promise<string> {
  const read = readEndpointUrl(text, rules);
  if ('fault' in read) refuseUrl(read.fault);
  try {
    await resolveAllowed(read.url.hostname, { rules, resolve });
  } catch (error) {
    // A name that cannot be resolved now may be there later; every send judges it again.
    if (error instanceof AddressRefusedError) refuseUrl(NOT_PUBLIC);
  }
  return read.url.href;
}

function refuseUrl(message: string): never {
  const fix = 'Send an https URL whose host is reachable from the internet.';
  throw validationFailed([{ path: 'body/url', message, fix }]);
}

function refuseTypes(unknown: readonly string[], types: ReadonlySet<string>): never {
  const fix = `Send some of ${[...types].join(', ')}.`;
  throw validationFailed(
    unknown.map((type) => ({ path: 'body/types', message: `has no type ${type}`, fix })),
  );
}

function fieldsThatDiffer(before: Endpoint, edit: EndpointEdit): EndpointEdit {
  const entries = Object.entries(edit).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof EndpointEdit]),
  );
  return Object.fromEntries(entries);
}

function tellOf(
  type: EventDefinition<{ endpoint: EndpointSummary }>,
  endpoint: Endpoint,
  caller: Caller,
): NewEvent {
  return newEvent(type, endpoint, { endpoint: summaryOf(endpoint) }, caller);
}

function secretsKeyMissing(): never {
  throw new AppError(
    'secrets_key_missing',
    'The service has no key to encrypt the secrets of endpoints with',
  );
}
