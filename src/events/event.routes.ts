import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { sendPage } from '../http/pages.ts';
import { routeConfig } from '../http/route-config.ts';
import * as schemas from './event.schemas.ts';
import type { FeedService } from './feed.service.ts';

export interface EventRoutesOptions {
  feed: FeedService;
  /** Every type of event that there is. */
  eventTypes: readonly string[];
}

export const eventRoutes: FastifyPluginAsyncTypebox<EventRoutesOptions> = async (app, options) => {
  const { feed, eventTypes } = options;

  const listing = { schema: schemas.listEvents(eventTypes), config: routeConfig('reader', 'scan') };
  app.get('/events', listing, async (request, reply) => {
    const { after, types, limit } = request.query;
    const page = await feed.list({ after, types: types?.split(','), limit });
    return sendPage(request, reply, page, 'after');
  });
};
