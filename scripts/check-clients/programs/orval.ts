import { createOrder, createProduct, getOrder } from '../generated/orval/client';
import { createOrderBody, createProductBody, getOrderResponse } from '../generated/orval/zod';
import { holdOrder, holdShortage, product, TOO_MANY } from './trial';

const created = await createProduct(createProductBody.parse(product));
if (created.status !== 201) throw new Error(created.data.detail);
const { id } = created.data;
const placed = await createOrder(createOrderBody.parse({ product_id: id, quantity: 1 }));
if (placed.status !== 201) throw new Error(placed.data.detail);
holdOrder(placed.data);
const read = await getOrder(placed.data.id);
if (read.status !== 200) throw new Error('the order cannot be read');
holdOrder(getOrderResponse.parse(read.data));
const refused = await createOrder(createOrderBody.parse({ items: [{ product_id: id, quantity: TOO_MANY }] }));
if (refused.status === 201) throw new Error('too large an order was placed');
holdShortage(refused.data);
