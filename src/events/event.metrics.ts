import { Counter, Gauge, type Registry } from 'prom-client';

export type EventMetrics = ReturnType<typeof createEventMetrics>;

export function createEventMetrics(registers: Registry[]) {
  return {
    eventStreamsOpen: new Gauge({
      name: 'event_streams_open',
      help: 'Open streams of events',
      registers,
    }),
    eventStreamsDropped: new Counter({
      name: 'event_streams_dropped_total',
      help: 'Streams of events that were closed because their client did not read',
      registers,
    }),
    eventStreamFailures: new Counter({
      name: 'event_stream_failures_total',
      help: 'Reads of the event log for streams that failed; they are made up for',
      registers,
    }),
  };
}
