import { AppError } from '../lib/errors.ts';
import type { Endpoint, EndpointSummary } from './endpoint.schemas.ts';

export function summaryOf(endpoint: Endpoint): EndpointSummary {
  const { id, url, types, ordering, status, failing_since, version } = endpoint;
  return { id, origin: new URL(url).origin, types, ordering, status, failing_since, version };
}

export function endpointNotFound(): never {
  throw new AppError('endpoint_not_found', 'Webhook endpoint not found');
}
