import { Api, type HttpResponse, type Order, type Problem } from '../generated/swagger-typescript-api/api';
import { baseUrl, holdOrder, holdShortage, product, TOO_MANY } from './trial';

const api = new Api({ baseUrl });

const created = await api.products.createProduct(product);
const { id } = created.data;
const placed = await api.orders.createOrder({ product_id: id, quantity: 1 });
holdOrder(placed.data);
const read = await api.orders.getOrder(placed.data.id);
if (read.data.id !== placed.data.id) throw new Error('the order cannot be read');
// This client throws the whole answer.
const refused = await api.orders.createOrder({ items: [{ product_id: id, quantity: TOO_MANY }] }).then(
  () => undefined,
  (answer: HttpResponse<Order, Problem>) => answer.error,
);
holdShortage(refused);
