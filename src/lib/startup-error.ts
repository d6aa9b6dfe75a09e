/**
 * A reason why the service cannot start that its operator can mend. The message is one plain sentence that says
 * what is wrong and how to mend it; `server.ts` prints it alone, without a stack, and exits with code 1.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}
