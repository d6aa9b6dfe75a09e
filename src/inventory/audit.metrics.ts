import { Gauge, type Registry } from 'prom-client';

export function createAuditMetrics(registers: Registry[]) {
  const inventoryDrift = new Gauge({
    name: 'inventory_drift_units',
    help: 'Units by which stored counters differ from the ledger and the open orders, at the last audit; must be 0',
    registers,
  });
  // It would begin at 0, although the drift is unknown before the first audit.
  inventoryDrift.remove();
  return {
    inventoryDrift,
    inventoryAuditedAt: new Gauge({
      name: 'inventory_audit_timestamp_seconds',
      help: 'When the inventory was last audited, in seconds since 1970; 0 before the first time',
      registers,
    }),
  };
}
