import type { ClosingStack } from '../../src/lib/shutdown.ts';
import type { Children } from '../support/children.ts';
import type { LoadGenerator } from './load-generator.ts';
import type { BenchPostgres } from './postgres.ts';

/** What every part of a run works with. */
export interface Bench {
  postgres: BenchPostgres;
  children: Children;
  generator: LoadGenerator;
  /** Closed in reverse when the run ends. */
  opened: ClosingStack;
  say: (text: string) => void;
}
