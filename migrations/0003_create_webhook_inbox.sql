-- The inbox of payment webhooks: what was applied stands in payment_events, what was refused in webhook_refusals.
--
-- The two are one list in the order of one sequence, and an event that is applied after all keeps the id under which it
-- was refused. So accepted events are written once, not twice.

-- last_delivered_at is null until an event is delivered again: most are not, and a default would date every old row.
alter table payment_events
  add column deliveries integer not null default 1,
  add column last_delivered_at timestamptz(3);

-- Lists look for the few that are not the usual case; an event that is adds nothing to either index.
create index payment_events_outcome_idx on payment_events (outcome, id) where outcome <> 'processed';
create index payment_events_event_type_idx on payment_events (event_type, id) where event_type <> 'payment.succeeded';

-- Like order_id_near (0001): ids and times grow together, so a period is a range of ids and needs no index of its own.
-- An event that was refused at first keeps its id and its time, which a database that was away may have parted: whoever
-- asks widens the range by that.
create function payment_event_id_near(instant timestamptz) returns bigint language plpgsql stable as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  probed timestamptz;
begin
  select min(id), max(id) + 1 into low, high from payment_events;
  while high - low > 100 loop
    middle := (low + high) / 2;
    select received_at into probed from payment_events where id >= middle and id < high order by id limit 1;
    if not found or probed >= instant then
      high := middle;
    else
      low := middle;
    end if;
  end loop;
  return high;
end
$$;

-- Deliveries that had no effect and are no event yet. Their number is bounded (src/payments/inbox.service.ts).
-- valid: signed, but failed (unknown order, wrong body, a database in trouble); it can be replayed. Of the others, nobody
-- knows who sent them: forged, missing (no signature), unchecked (refused before anything could be checked). Of these
-- only the beginning of the body is kept; body_bytes is what it was.
-- identity: the event's, when valid; otherwise what makes two of them the same: the digest of what is kept of the body,
-- or the reason.
-- No header is kept but the request's id and X-Event-Id: signatures are secrets of a kind.
create table webhook_refusals (
  id bigint not null default nextval('payment_events_id_seq') constraint webhook_refusals_pkey primary key,
  verdict text not null,
  identity text collate "C" not null,
  scheme text,
  event_type text,
  order_id bigint,
  unsigned_event_id text,
  reason text not null,
  detail text not null,
  raw_body bytea not null,
  body_bytes integer not null,
  request_id text not null,
  deliveries integer not null default 1,
  received_at timestamptz(3) not null,
  last_delivered_at timestamptz(3) not null,
  -- Repeated deliveries are one row, however many come.
  constraint webhook_refusals_identity_key unique (verdict, identity),
  constraint webhook_refusals_verdict_known check (verdict in ('valid', 'forged', 'missing', 'unchecked')),
  constraint webhook_refusals_scheme_given check ((verdict = 'valid') = (scheme is not null)),
  constraint webhook_refusals_scheme_known check (scheme in ('x-webhook-signature', 'standard-webhooks'))
);

alter table payment_exceptions
  add constraint payment_exceptions_resolution_known
    check (resolution in ('refunded', 'accepted', 'written_off', 'other'));
