/** A shop for kitchen things: one product sold out, one nearly, one out of season. */
export interface SeedProduct {
  sku: string;
  name: string;
  description: string | null;
  price: number;
  stock: number;
  active: boolean;
}

/** The steps of an order after it was placed; `mark-paid` is staff, `pay` the payment provider. */
export type SeedStep = 'pay' | 'mark-paid' | 'ship' | 'cancel' | 'fail' | 'refund';

/** A customer and the items together tell one seeded order from another, so no two may be alike. */
export interface SeedOrder {
  customer: string;
  items: Record<string, number>;
  steps: SeedStep[];
}

function product(sku: string, name: string, price: number, stock: number, description?: string): SeedProduct {
  return { sku, name, description: description ?? null, price, stock, active: true };
}

export const seedProducts: readonly SeedProduct[] = [
  product('MUG-SAND', 'Stoneware mug, sand', 18.5, 120, 'Holds 0.3 l; dishwasher-safe'),
  product('MUG-MOSS', 'Stoneware mug, moss', 18.5, 80, 'Holds 0.3 l; dishwasher-safe'),
  product('BOWL-LARGE', 'Serving bowl, 28 cm', 42, 35),
  product('PLATE-SET-4', 'Dinner plates, set of four', 64, 24, 'Stoneware, 26 cm'),
  product('TEAPOT-IRON', 'Cast-iron teapot, 0.8 l', 79.9, 12, 'With a strainer of stainless steel'),
  product('KETTLE-GOOSE', 'Gooseneck kettle', 89, 8),
  product('COFFEE-HOUSE', 'House blend, 250 g', 9.8, 400, 'Whole beans; chocolate and hazelnut'),
  product('COFFEE-DECAF', 'Decaf, 250 g', 11.2, 150, 'Whole beans'),
  product('GRINDER-HAND', 'Hand coffee grinder', 119, 3, 'Conical steel burrs'),
  product('TOWEL-LINEN', 'Linen tea towel', 12.9, 200),
  product('APRON-DENIM', 'Denim apron', 38, 45, 'One size'),
  { ...product('CANDLE-WINTER', 'Winter candle', 16, 60, 'Back in November'), active: false },
];

function order(name: string, items: Record<string, number>, ...steps: SeedStep[]): SeedOrder {
  return { customer: `${name}@example.com`, items, steps };
}

export const seedOrders: readonly SeedOrder[] = [
  order('ada', { 'MUG-SAND': 2, 'COFFEE-HOUSE': 1 }, 'pay', 'ship'),
  order('grace', { 'TEAPOT-IRON': 1 }, 'pay', 'ship'),
  order('linus', { 'COFFEE-HOUSE': 6 }, 'pay', 'ship'),
  order('margaret', { 'PLATE-SET-4': 2, 'BOWL-LARGE': 1 }, 'mark-paid', 'ship'),
  order('edsger', { 'GRINDER-HAND': 1, 'COFFEE-HOUSE': 2 }, 'pay', 'ship'),
  order('barbara', { 'APRON-DENIM': 1 }, 'fail'),
  order('donald', { 'KETTLE-GOOSE': 1, 'COFFEE-DECAF': 2 }, 'pay', 'refund'),
  order('ada', { 'TOWEL-LINEN': 4 }, 'pay', 'ship'),
  order('katherine', { 'BOWL-LARGE': 2 }, 'cancel'),
  order('alan', { 'KETTLE-GOOSE': 1 }, 'pay', 'cancel'),
  order('grace', { 'GRINDER-HAND': 1 }, 'pay'),
  order('radia', { 'MUG-MOSS': 6 }, 'pay'),
  order('ken', { 'KETTLE-GOOSE': 2, 'GRINDER-HAND': 1 }, 'mark-paid'),
  order('margaret', { 'TOWEL-LINEN': 2, 'APRON-DENIM': 2 }, 'pay'),
  order('frances', { 'KETTLE-GOOSE': 3 }, 'pay'),
  order('dennis', { 'COFFEE-HOUSE': 12, 'COFFEE-DECAF': 4 }, 'pay'),
  order('linus', { 'MUG-SAND': 1 }),
  order('hedy', { 'PLATE-SET-4': 1, 'MUG-SAND': 4, 'MUG-MOSS': 4 }),
  order('john', { 'COFFEE-DECAF': 1 }),
  order('radia', { 'TEAPOT-IRON': 1, 'TOWEL-LINEN': 2 }),
];
