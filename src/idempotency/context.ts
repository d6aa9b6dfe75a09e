import type { Caller } from '../lib/caller.ts';
import type { VersionMatch } from '../lib/versions.ts';
import type { IdempotencyKey } from './key.ts';

/** What a service needs to know of a call beside its command. */
export interface RequestContext {
  readonly caller: Caller;
  /** Undefined when the call has no Idempotency-Key, or takes none. */
  readonly key: IdempotencyKey | undefined;
  /** The versions that the change is meant for; undefined for any. */
  readonly ifMatch: VersionMatch | undefined;
}
