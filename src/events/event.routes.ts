import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { sendPage } from '../http/pages.ts';
import { routeConfig } from '../http/route-config.ts';
import * as schemas from './event.schemas.ts';
import type { FeedService } from './feed.service.ts';
import { STREAM_MAX_AGE_MS } from './stream/stream-age.ts';
import type { StreamService } from './stream/stream.service.ts';

export interface EventRoutesOptions {
  feed: FeedService;
  streams: StreamService;
  /** Every type of event that there is. */
  eventTypes: readonly string[];
}

export const eventRoutes: FastifyPluginAsyncTypebox<EventRoutesOptions> = async (app, options) => {
  const { feed, streams, eventTypes } = options;

  const listing = { schema: schemas.listEvents(eventTypes), config: routeConfig('reader', 'scan') };
  app.get('/events', listing, async (request, reply) => {
    const { after, types, limit } = request.query;
    const page = await feed.list({ after, types: types?.split(','), limit });
    return sendPage(request, reply, page, 'after');
  });

  const streaming = {
    schema: schemas.streamEvents(eventTypes),
    config: routeConfig('reader', 'scan', STREAM_MAX_AGE_MS),
    // HEAD would open a stream that nobody reads.
    exposeHeadRoute: false,
  };
  app.get('/events/stream', streaming, async (request, reply) => {
    const { after, types } = request.query;
    const last = request.headers['last-event-id'];
    const output = await streams.open({
      after: last ?? after,
      afterPath: last === undefined ? 'query/after' : 'header/last-event-id',
      types: types?.split(','),
    });
    reply.header('cache-control', 'no-store');
    // nginx would hold events back until its buffer is full.
    reply.header('x-accel-buffering', 'no');
    return reply.type('text/event-stream; charset=utf-8').send(output);
  });
  // Fastify closes only when every answer has ended.
  app.addHook('preClose', () => streams.stop());
};
