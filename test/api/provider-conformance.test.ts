import { createGenericProvider } from '../../src/inbound/providers/generic.ts';
import { describeProvider, type SampleEvent } from '../support/provider-conformance.ts';
import { signPayload } from '../support/service.ts';
import { standardHeaders } from '../support/webhooks.ts';

const secrets = ['the-current-secret-of-24-bytes', 'the-former-secret-of-24-bytes'] as const;

function write({ type, orderId, eventId, amountCents }: SampleEvent): string {
  return JSON.stringify({
    event_type: type ?? 'customer.created',
    order_id: orderId,
    event_id: eventId,
    amount: amountCents / 100,
  });
}

describeProvider({
  provider: { ...createGenericProvider(secrets), name: 'generic, plain signature' },
  secrets,
  sign: (body, secret) => ({ 'x-webhook-signature': signPayload(body, secret) }),
  write,
  signsTime: false,
});

describeProvider({
  provider: { ...createGenericProvider(secrets), name: 'generic, Standard Webhooks' },
  secrets,
  sign: (body, secret, atMs) => standardHeaders(body, { secret, at: new Date(atMs) }),
  write,
  signsTime: true,
});
