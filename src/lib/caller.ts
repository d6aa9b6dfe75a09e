/** Who asks, as far as what is written must say: stored with every movement and event. */
export interface Caller {
  /** The API key's id, `anonymous` while the service is open, `payment-provider`, or `system`. */
  actor: string;
  /** Null for what no single request has caused. */
  requestId: string | null;
}
