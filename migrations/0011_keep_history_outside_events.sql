-- The event log is for readers: its order survives a restore, its rows do not change, and no rule reads it, so that old
-- rows can be deleted without changing any answer.

-- Steps of an order after its placement, kept for ever. The placement itself is the order's own row and its movements,
-- so placing an order writes nothing here. Several steps of one transaction share a version and have positions.
create table order_steps (
  order_id bigint not null,
  version bigint not null,
  position smallint not null,
  from_status text not null,
  to_status text not null,
  cause text not null,
  refund_due boolean not null,
  actor text not null,
  request_id text,
  at timestamptz(3) not null default now(),
  constraint order_steps_pkey primary key (order_id, version, position)
);

-- Why a canceled order was canceled: the cause of its last step.
alter table orders add column cancel_cause text;

insert into order_steps (order_id, version, position, from_status, to_status, cause, refund_due, actor, request_id, at)
select aggregate_id, aggregate_version,
       row_number() over (partition by aggregate_id, aggregate_version order by id) - 1,
       payload -> 'transition' ->> 'from', payload -> 'transition' ->> 'to', payload -> 'transition' ->> 'cause',
       (payload -> 'transition' ->> 'refund_due')::boolean, actor, request_id, occurred_at
  from events
 where aggregate_type = 'order' and payload -> 'transition' ->> 'from' is not null;

update orders o
   set cancel_cause = s.cause
  from (
    select distinct on (order_id) order_id, cause
      from order_steps where to_status = 'CANCELED' order by order_id, version desc, position desc
  ) s
 where s.order_id = o.id and o.status = 'CANCELED';

-- The ledger outlives its product, and this says which product it was.
create table deleted_products (
  id bigint not null constraint deleted_products_pkey primary key,
  sku text collate "C" not null,
  deleted_at timestamptz(3) not null default now()
);

insert into deleted_products (id, sku, deleted_at)
select distinct on (aggregate_id) aggregate_id, payload -> 'product' ->> 'sku', occurred_at
  from events
 where aggregate_type = 'product' and payload -> 'product' ->> 'sku' is not null
   and not exists (select from products where id = aggregate_id)
 order by aggregate_id, id desc;

create function keep_deleted_product() returns trigger language plpgsql as $$
begin
  insert into deleted_products (id, sku) values (old.id, old.sku) on conflict do nothing;
  return null;
end
$$;

create trigger products_kept after delete on products for each row execute function keep_deleted_product();

-- W3C Trace Context of the request that made the change.
alter table events
  add column traceparent text,
  add constraint events_traceparent_format
    check (traceparent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');

-- Epochs of the log. Transaction ids are those of one cluster. A dump that is restored into another cluster brings ids
-- that lie in that cluster's future: a reader behind pg_snapshot_xmin would not see those events, and new events would
-- come before them. So the log has epochs, and its order is (epoch, transaction_id, id). Event ids come from a sequence
-- that is restored with the dump, so an epoch is a range of ids: the rows need no column for it, and placing an order
-- pays nothing. Beginning an epoch sets all older transaction ids back behind every new one without writing a row.
create table event_epochs (
  epoch integer not null constraint event_epochs_pkey primary key,
  first_id bigint not null constraint event_epochs_first_id_key unique,
  system_identifier bigint,
  began_at timestamptz(3) not null default now()
);

-- Null where the role may not ask.
create function cluster_identifier() returns bigint language plpgsql stable as $$
begin
  return (select system_identifier from pg_control_system());
exception when insufficient_privilege then
  return null;
end
$$;

insert into event_epochs (epoch, first_id, system_identifier) values (1, 1, cluster_identifier());

-- Begins an epoch when the log has come from another cluster, which its identifier says, or transaction ids of the
-- future. Called at each start, under the lock of the migrations and before the instance writes. Returns the epoch.
create function open_event_log() returns integer language plpgsql as $$
declare
  last_epoch event_epochs;
  highest xid8;
begin
  select * into strict last_epoch from event_epochs order by epoch desc limit 1;
  select transaction_id into highest
    from events where id >= last_epoch.first_id order by transaction_id desc, id desc limit 1;
  if coalesce(highest < pg_snapshot_xmax(pg_current_snapshot()), true)
     and coalesce(last_epoch.system_identifier = cluster_identifier(), true) then
    return last_epoch.epoch;
  end if;
  insert into event_epochs (epoch, first_id, system_identifier)
  select last_epoch.epoch + 1, greatest(last_epoch.first_id + 1, (select max(id) + 1 from events)), cluster_identifier();
  return last_epoch.epoch + 1;
end
$$;

-- The log as its readers see it, in the order (epoch, transaction_id, id): nothing that appears later can come before a
-- row that is here. Events of earlier epochs are all committed.
create view event_feed as
select epochs.epoch, events.*
  from (select epoch, first_id, lead(first_id) over (order by epoch) as next_id from event_epochs) as epochs
  join events on events.id >= epochs.first_id and (epochs.next_id is null or events.id < epochs.next_id)
 where epochs.next_id is not null or events.transaction_id < pg_snapshot_xmin(pg_current_snapshot());

-- Triggers hold for every role, also where the service's role owns the tables.
create function refuse_fact_change() returns trigger language plpgsql as $$
begin
  raise exception 'these columns of % are never changed', tg_table_name using errcode = 'restrict_violation';
end
$$;

-- An order.created event has no payload: these columns are what it is built from, so they stay what they were.
create trigger orders_as_placed before update of id, total, customer_email, expires_at, created_at on orders
  for each statement execute function refuse_fact_change();
create trigger orders_never_truncated before truncate on orders for each statement execute function refuse_change();
create trigger order_items_immutable before update or delete or truncate on order_items
  for each statement execute function refuse_change();

create trigger stock_movements_never_truncated before truncate on stock_movements
  for each statement execute function refuse_change();
create trigger order_steps_immutable before update or delete or truncate on order_steps
  for each statement execute function refuse_change();
create trigger deleted_products_immutable before update or delete or truncate on deleted_products
  for each statement execute function refuse_change();
create trigger event_epochs_immutable before update or delete or truncate on event_epochs
  for each statement execute function refuse_change();

-- Deliveries are counted; everything else about a payment event is a fact.
create trigger payment_events_facts before update of id, identity, event_type, order_id, amount, payment_method, scheme,
  unsigned_event_id, outcome, reason, new_status, raw_body, actor, request_id, received_at on payment_events
  for each statement execute function refuse_fact_change();
create trigger payment_events_never_deleted before delete or truncate on payment_events
  for each statement execute function refuse_change();

-- Only delete_old_events() deletes. It runs as the owner, which a service with a role of its own cannot pretend to be;
-- the setting keeps a service that owns the tables from deleting by accident.
create function guard_events() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('orders_inventory.retention', true) = 'events'
     and current_user = (select relowner::regrole::text from pg_class where oid = tg_relid) then
    return null;
  end if;
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end
$$;

create trigger events_immutable before update or delete or truncate on events
  for each statement execute function guard_events();

-- Retention: deletes at most so many of the oldest events from before a time, and returns how many. A week is kept
-- whatever the caller asks for. The service calls it with the owner's rights, so its search_path is fixed.
do $$
begin
  execute format($f$
    create function delete_old_events(before timestamptz, at_most integer) returns bigint
      language plpgsql security definer set search_path = %I, pg_temp as $b$
    declare
      deleted bigint;
    begin
      perform set_config('orders_inventory.retention', 'events', true);
      delete from events
       where id in (
         select id from events
          where occurred_at < least(before, now() - interval '7 days') order by transaction_id, id limit at_most
       );
      get diagnostics deleted = row_count;
      perform set_config('orders_inventory.retention', '', true);
      return deleted;
    end
    $b$
  $f$, current_schema());
end
$$;
revoke execute on function delete_old_events(timestamptz, integer) from public;
