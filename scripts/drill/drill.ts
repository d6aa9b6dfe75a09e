import type { ClosingStack } from '../../src/lib/shutdown.ts';
import type { Children } from '../support/children.ts';
import type { DrillOptions } from './options.ts';
import type { Verdict } from './verdict.ts';

/** One drill: an attack on one promise of the service, and the account that it must give afterwards. */
export interface Drill {
  /** Describes the drill in one line. */
  title: string;
  defaults: { rounds: number; clients: number };
  /** The harm it does, which forbids it on a service that it did not start; undefined when it does none. */
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
  /** Resources of the run, closed in reverse order when it ends, however it ends. */
  opened: ClosingStack;
  children: Children;
  /** Counts from 1, for as long as there are rounds or time. */
  rounds(): Iterable<number>;
  /** Reports progress; the latest report is shown each second. */
  progress(text: string): void;
  /** Prints a line that a person should always see. */
  note(text: string): void;
}

/** The promises that several drills keep the books of. */
export const STOCK_ADDS_UP = 'sold + left = start';
export const NO_DRIFT = 'zero drift';
