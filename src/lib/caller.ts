/** The author of a change, stored with every movement and event. */
export interface Caller {
  /** The API key's id, `anonymous` while the service is open, `payment-provider`, or `system`. */
  actor: string;
  /** Null where no single request caused the change. */
  requestId: string | null;
}
