import { defineEvent } from '../events/define-event.ts';
import { EndpointSummarySchema } from './endpoint.schemas.ts';

const aggregate = 'webhook_endpoint';
const payload = { endpoint: EndpointSummarySchema };

export const endpointCreated = defineEvent('endpoint.created', { aggregate, payload });
export const endpointUpdated = defineEvent('endpoint.updated', {
  aggregate,
  payload: { endpoint: EndpointSummarySchema, before: EndpointSummarySchema },
});
export const endpointRotated = defineEvent('endpoint.secret_rotated', { aggregate, payload });
export const endpointDeleted = defineEvent('endpoint.deleted', { aggregate, payload });

export const endpointEvents = [endpointCreated, endpointUpdated, endpointRotated, endpointDeleted] as const;
