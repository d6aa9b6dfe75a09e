/** A product whose stored counters are not what its ledger or the open orders say. */
export interface StockDrift {
  product_id: number;
  /** Null when the product is gone. */
  sku: string | null;
  on_hand: { stored: number; ledger: number };
  reserved: { stored: number; ledger: number; orders: number };
  /** By how much the ledger and the orders differ from what is stored, all differences counted up. */
  drift_units: number;
}

/** Every counter of every product at one moment, as `GET /inventory/audit` answers it. */
export interface InventoryAudit {
  checked_at: string;
  products: number;
  drift_units: number;
  drifting_products: number;
  /** The largest of them. */
  drifts: StockDrift[];
}
