import { defineEvent } from '../events/define-event.ts';
import { StockLevel } from './stock-level.schemas.ts';

const aggregate = 'product';

const payload = { level: StockLevel };
/** On the way down: what can be sold has come to the threshold of the product, or below it. */
export const stockLow = defineEvent('stock.low', { aggregate, payload });
/** On the way down: nothing can be sold any more. */
export const stockDepleted = defineEvent('stock.depleted', { aggregate, payload });
/** On the way up: something can be sold again. */
export const stockAvailable = defineEvent('stock.available', { aggregate, payload });

export const stockEvents = [stockLow, stockDepleted, stockAvailable] as const;
