import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { FastifyInstance } from 'fastify';

import type { TrafficMetrics } from '../lib/metrics.ts';

/** Ten times what tools that pipeline send ahead. More are sent only to be kept: 50 connections of 500 took 1 GB. */
const REQUESTS_AHEAD_MAX = 100;

/** What one connection has asked. Requests that Fastify's router refuses are not among them. */
interface Lane {
  /** The answer to the newest request. */
  last: ServerResponse | undefined;
  /** The answer to the request before it. */
  previous: ServerResponse | undefined;
  waiting: number;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The answer that must leave before anything else may be written to a connection; undefined: there is none. */
    answerAwaitedOn(socket: Socket): ServerResponse | undefined;
  }
}

/**
 * Begins a request when the client has been sent the answers to all those before it on its connection. Node would
 * hand over each at once and keep the answers, which a client that does not read can make as many and as large as it
 * likes. Call it before every other hook: a request that waits has not begun.
 */
export function serveInTurn(app: FastifyInstance, metrics: TrafficMetrics): void {
  const lanes = new WeakMap<Socket, Lane>();
  app.server.on('connection', (socket: Socket) => {
    lanes.set(socket, { last: undefined, previous: undefined, waiting: 0 });
  });
  app.addHook('onRequest', ({ raw: { socket } }, { raw: answer }, done) => {
    const lane = lanes.get(socket);
    // Injected requests have no connection.
    if (lane === undefined) return done();
    const { last } = lane;
    const mustWait = last !== undefined && !last.destroyed && isQueued(answer);
    // An answer that has left is not kept: garbage collection would carry it along, one for each connection.
    lane.previous = mustWait ? last : undefined;
    lane.last = answer;
    if (!mustWait) return done();
    if (lane.waiting === REQUESTS_AHEAD_MAX) {
      if (!socket.destroyed) metrics.connectionsDropped.inc();
      socket.destroy();
      return undefined;
    }
    lane.waiting += 1;
    last.once('close', () => {
      lane.waiting -= 1;
      // After an answer that closes the connection, this one could not be sent.
      if (socket.writable) done();
    });
    return undefined;
  });
  app.decorate('answerAwaitedOn', (socket: Socket) => {
    const { last, previous } = lanes.get(socket) ?? {};
    if (last === undefined) return undefined;
    // A request whose body breaks off has no answer to wait for, but for one that was given without its body.
    const isAnswered = last.req.complete || last.writableEnded;
    const awaited = isAnswered ? last : isQueued(last) ? previous : undefined;
    return awaited?.destroyed === false ? awaited : undefined;
  });
}

/** Of an answer that has not left: Node gives it its socket once those before it have. */
function isQueued(answer: ServerResponse): boolean {
  return answer.socket === null;
}
