-- What comes in by webhook is one table, accepted or not: an inbound delivery that failed becomes the event by an update
-- of its own row, so that nothing moves between tables and a list is one walk along one key.
--
-- An older version that still runs must not take a failed row for an event that it knows, and so acknowledge money that was
-- never applied. The table has another name, on which the older version fails and its provider tries again.
alter table payment_events rename to inbound_deliveries;
alter sequence payment_events_id_seq rename to inbound_deliveries_id_seq;
alter index payment_events_order_id_idx rename to inbound_deliveries_order_id_idx;
alter index payment_events_outcome_idx rename to inbound_deliveries_outcome_idx;
alter index payment_events_event_type_idx rename to inbound_deliveries_event_type_idx;
alter index payment_events_time_idx rename to inbound_deliveries_time_idx;

-- body_bytes is given where raw_body is only the beginning. An unverified delivery's identity begins with its verdict, so
-- that it is never the identity of an event.
alter table inbound_deliveries rename constraint payment_events_pkey to inbound_deliveries_pkey;
alter table inbound_deliveries rename constraint payment_events_identity_key to inbound_deliveries_identity_key;
alter table inbound_deliveries rename constraint payment_events_scheme_known to inbound_deliveries_scheme_known;
alter table inbound_deliveries
  add column verdict text not null default 'valid',
  add column detail text,
  add column body_bytes integer,
  alter column event_type drop not null,
  alter column scheme drop not null,
  alter column actor drop not null,
  drop constraint payment_events_outcome_known;

insert into inbound_deliveries
  (id, verdict, identity, scheme, event_type, order_id, unsigned_event_id, outcome, reason, detail, raw_body, body_bytes,
   request_id, deliveries, received_at, last_delivered_at)
select id, verdict, case verdict when 'valid' then identity else verdict || ':' || identity end, scheme, event_type,
       order_id, unsigned_event_id, case verdict when 'valid' then 'failed' else 'refused' end, reason, detail, raw_body,
       nullif(body_bytes, octet_length(raw_body)), request_id, deliveries, received_at, last_delivered_at
  from webhook_refusals r
 -- What has been applied has not failed.
 where not (verdict = 'valid' and exists (select from inbound_deliveries e where e.identity = r.identity));
drop table webhook_refusals;

alter table inbound_deliveries
  add constraint inbound_deliveries_outcome_known
    check (outcome in ('processed', 'ignored', 'review', 'failed', 'refused')),
  add constraint inbound_deliveries_verdict_known
    check (verdict in ('valid', 'forged', 'stale', 'missing', 'unchecked')),
  add constraint inbound_deliveries_verdict_fits check ((verdict = 'valid') = (outcome <> 'refused')),
  add constraint inbound_deliveries_scheme_given check ((verdict = 'valid') = (scheme is not null)),
  add constraint inbound_deliveries_reason_given check (reason is not null or outcome not in ('failed', 'refused')),
  add constraint inbound_deliveries_event_given
    check ((event_type is not null and actor is not null) or outcome in ('failed', 'refused'));

-- As 0003 and 0010 have them, under the new name.
drop function payment_event_id_near(timestamptz);
drop function payment_event_first_id(timestamptz, bigint);
drop function payment_event_end_id(timestamptz, bigint);
create function inbound_delivery_id_near(instant timestamptz) returns bigint language plpgsql stable as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  probed timestamptz;
begin
  select min(id), max(id) + 1 into low, high from inbound_deliveries;
  while high - low > 100 loop
    middle := (low + high) / 2;
    select received_at into probed from inbound_deliveries where id >= middle and id < high order by id limit 1;
    if not found or probed >= instant then
      high := middle;
    else
      low := middle;
    end if;
  end loop;
  return high;
end
$$;
create function inbound_delivery_first_id(instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(min(id + 0), guess) from inbound_deliveries where id < guess and received_at >= instant
$$;
create function inbound_delivery_end_id(instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(max(id + 0) + 1, guess) from inbound_deliveries where id >= guess and received_at < instant
$$;

-- Deliveries are counted; everything else about an event that was accepted is a fact. One that failed may still become an
-- event, and what had no effect is forgotten in time.
drop trigger payment_events_facts on inbound_deliveries;
drop trigger payment_events_never_deleted on inbound_deliveries;
create trigger inbound_deliveries_facts before update on inbound_deliveries for each row
  when (old.outcome not in ('failed', 'refused')
        and (old.id, old.verdict, old.identity, old.event_type, old.order_id, old.amount, old.payment_method, old.scheme,
             old.unsigned_event_id, old.outcome, old.reason, old.detail, old.new_status, old.raw_body, old.body_bytes,
             old.actor, old.request_id, old.received_at)
            is distinct from
            (new.id, new.verdict, new.identity, new.event_type, new.order_id, new.amount, new.payment_method, new.scheme,
             new.unsigned_event_id, new.outcome, new.reason, new.detail, new.new_status, new.raw_body, new.body_bytes,
             new.actor, new.request_id, new.received_at))
  execute function refuse_fact_change();
create trigger inbound_deliveries_never_deleted before delete on inbound_deliveries for each row
  when (old.outcome not in ('failed', 'refused')) execute function refuse_change();
create trigger inbound_deliveries_never_truncated before truncate on inbound_deliveries
  for each statement execute function refuse_change();
