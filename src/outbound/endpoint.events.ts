import { defineEvent } from '../events/define-event.ts';
import { DeliverySummarySchema, EndpointSummarySchema } from './endpoint.schemas.ts';

const aggregate = 'webhook_endpoint';
const payload = { endpoint: EndpointSummarySchema };

export const endpointCreated = defineEvent('endpoint.created', { aggregate, payload });
export const endpointUpdated = defineEvent('endpoint.updated', {
  aggregate,
  payload: { endpoint: EndpointSummarySchema, before: EndpointSummarySchema },
});
export const endpointRotated = defineEvent('endpoint.secret_rotated', { aggregate, payload });
export const endpointDeleted = defineEvent('endpoint.deleted', { aggregate, payload });

const alert = { endpoint: EndpointSummarySchema, delivery: DeliverySummarySchema };

/** A delivery has failed six times in half a minute; told once until the endpoint recovers. */
export const endpointFailing = defineEvent('endpoint.failing', { aggregate, payload: alert });
export const endpointRecovered = defineEvent('endpoint.recovered', { aggregate, payload });
export const endpointDisabled = defineEvent('endpoint.disabled', { aggregate, payload: alert });
/** A delivery has become a dead letter. */
export const deliveryFailed = defineEvent('delivery.failed', {
  aggregate: 'webhook_delivery',
  payload: alert,
});

export const endpointEvents = [
  endpointCreated,
  endpointUpdated,
  endpointRotated,
  endpointDeleted,
  endpointFailing,
  endpointRecovered,
  endpointDisabled,
  deliveryFailed,
] as const;
