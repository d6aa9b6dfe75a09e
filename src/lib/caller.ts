/** Who asks, as far as what is written must say: stored with every movement and event. */
export interface Caller {
  /** The API key's id, `anonymous` while the service is open, or `payment-provider`. */
  actor: string;
  requestId: string;
}
