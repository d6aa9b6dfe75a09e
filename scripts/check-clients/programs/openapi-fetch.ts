import createClient from 'openapi-fetch';

import type { paths } from '../generated/openapi-typescript';
import { baseUrl, holdOrder, holdShortage, product, TOO_MANY } from './trial';

const client = createClient<paths>({ baseUrl });

const created = await client.POST('/products', { body: product });
if (created.data === undefined) throw new Error(created.error.detail);
const { id } = created.data;
const placed = await client.POST('/orders', { body: { product_id: id, quantity: 1 } });
if (placed.data === undefined) throw new Error(placed.error.detail);
holdOrder(placed.data);
const read = await client.GET('/orders/{id}', { params: { path: { id: placed.data.id } } });
if (read.data?.id !== placed.data.id) throw new Error('the order cannot be read');
const refused = await client.POST('/orders', { body: { items: [{ product_id: id, quantity: TOO_MANY }] } });
holdShortage(refused.error);
