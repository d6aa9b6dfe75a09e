import type { ClosingStack } from '../../src/lib/shutdown.ts';
import type { Children } from '../support/children.ts';
import type { DrillOptions } from './options.ts';
import type { Verdict } from './verdict.ts';

/** One drill: an attack on one promise of the service, and the account that it must give afterwards. */
export interface Drill {
  /** What it does, in one line. */
  title: string;
  defaults: { rounds: number; clients: number };
  /** What it does that no service of somebody else may suffer; undefined when it does nothing of the kind. */
  needsOwnService?: string;
  /**
   * The drill against something that is broken on purpose. It must find the named promise broken, or else it could not
   * find a fault in the service either.
   */
  control: { breaks: string; how: string };
  run(run: DrillRun): Promise<Verdict>;
}

/** One run of a drill. */
export interface DrillRun {
  options: DrillOptions;
  clients: number;
  /** Whatever the run opens; closed in reverse when it ends, however it ends. */
  opened: ClosingStack;
  children: Children;
  /** Counts from 1, for as long as there are rounds or time. */
  rounds(): Iterable<number>;
  /** What is going on; the latest is shown each second. */
  progress(text: string): void;
  /** What a person should see in any case. */
  note(text: string): void;
}

/** The promises that several drills keep the books of. */
export const STOCK_ADDS_UP = 'sold + left = start';
export const NO_DRIFT = 'zero drift';
