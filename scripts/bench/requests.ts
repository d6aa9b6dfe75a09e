import type { LoadRequest } from './http-load.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

export function orderRequest(productId: number): LoadRequest {
  const body = JSON.stringify({ product_id: productId, quantity: 1 });
  return { method: 'POST', path: '/orders', headers: JSON_TYPE, body };
}

export function readRequest(path: string): LoadRequest {
  return { method: 'GET', path };
}
