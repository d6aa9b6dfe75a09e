/** The part of the guide that is about outbound webhooks. */
export const outboundGuide = {
  endpoint_not_found: {
    means: 'There is no webhook endpoint with this id, or it was deleted. Nothing was changed.',
    remedy: 'Check the id. `GET /webhook-endpoints` and `GET /webhook-deliveries` list those that exist.',
    example: { detail: 'Webhook endpoint not found' },
  },
  delivery_not_found: {
    means:
      'There is no webhook delivery with this id: its endpoint was deleted, or it arrived so long ago that it is no longer kept.',
    remedy: 'Check the id. `GET /webhook-endpoints` and `GET /webhook-deliveries` list those that exist.',
    example: { detail: 'Webhook delivery not found' },
  },
  resend_not_found: {
    means: 'No dead letters were sent again under this id.',
    remedy: 'Take the id from the answer of `POST /dead-letters/resend`.',
    example: { detail: 'Resend not found' },
  },
  delivery_pending: {
    means: 'The delivery is not over: the service tries it again by itself. Nothing was changed.',
    remedy: 'Wait for `next_attempt_at`, or enable its endpoint when that is paused.',
    example: { detail: 'The delivery is not over yet; it is tried again by itself' },
  },
  endpoint_limit_reached: {
    means: 'The service has as many webhook endpoints as it can have.',
    remedy: 'Delete one that is no longer used, or let one receiver pass events on.',
    example: { detail: 'There are 50 webhook endpoints, and there can be no more' },
  },
  secrets_key_missing: {
    means: 'The secrets of webhook endpoints are stored encrypted, and the service has no key for that.',
    remedy:
      'Set `SECRETS_KEY` to 32 random bytes in base64 (`openssl rand -base64 32`), and start the service again.',
    example: { detail: 'The service has no key to encrypt the secrets of endpoints with' },
  },
  too_many_pings: {
    means: 'The endpoint was sent as many pings within the last minute as it may get.',
    remedy: 'Look at the outcome of those that were sent, and wait a minute.',
    example: { detail: 'An endpoint gets 10 pings a minute at most' },
  },
};
