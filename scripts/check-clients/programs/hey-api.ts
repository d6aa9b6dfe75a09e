import { createOrder, createProduct, getOrder } from '../generated/hey-api';
import { client } from '../generated/hey-api/client.gen';
import { baseUrl, holdOrder, holdShortage, product, TOO_MANY } from './trial';

client.setConfig({ baseUrl });

const created = await createProduct({ body: product, throwOnError: true });
const { id } = created.data;
const placed = await createOrder({ body: { product_id: id, quantity: 1 }, throwOnError: true });
holdOrder(placed.data);
const read = await getOrder({ path: { id: placed.data.id }, throwOnError: true });
if (read.data.id !== placed.data.id) throw new Error('the order cannot be read');
const refused = await createOrder({ body: { items: [{ product_id: id, quantity: TOO_MANY }] } });
holdShortage(refused.error);
