-- Retention deletes a beginning of the event log, in the order of the feed, and remembers where it ends: so a reader
-- whose cursor lies before that place learns that it has missed events, and never skips them in silence.
create table swept_events (
  only_row boolean not null default true constraint swept_events_pkey primary key,
  -- The last event that was deleted; nothing before the first sweep.
  epoch integer not null default 1,
  transaction_id xid8 not null default '0',
  id bigint not null default 0,
  swept_at timestamptz(3),
  constraint swept_events_only_row check (only_row)
);
insert into swept_events default values;

create trigger swept_events_kept before delete or truncate on swept_events
  for each statement execute function refuse_change();

drop function delete_old_events(timestamptz, integer);

-- Deletes at most so many of the oldest events: those from before a time that come at or before a place in the log, which
-- is what the slowest outlet has read. A week is kept whatever the caller asks for. Returns how many it has deleted. The
-- service calls it with the owner's rights, so its search_path is fixed. The row of swept_events is locked first, so two
-- instances sweep one after the other.
do $$
begin
  execute format($f$
    create function delete_old_events(
      before timestamptz, at_most integer, read_epoch integer, read_transaction xid8, read_id bigint
    ) returns bigint
      language plpgsql security definer set search_path = %I, pg_temp as $b$
    declare
      swept swept_events;
      deleted bigint;
      following event_epochs;
    begin
      perform set_config('orders_inventory.retention', 'events', true);
      select * into strict swept from swept_events for update;
      loop
        select * into following from event_epochs where epoch > swept.epoch order by epoch limit 1;
        with oldest as materialized (
          select transaction_id, id, occurred_at
            from events
           where (transaction_id, id) > (swept.transaction_id, swept.id)
             and transaction_id < case when following is null then pg_snapshot_xmin(pg_current_snapshot())
                                       else '18446744073709551615'::xid8 end
             and id >= (select first_id from event_epochs where epoch = swept.epoch)
             and (following is null or id < following.first_id)
           order by transaction_id, id
           limit at_most
        ), kept as materialized (
          select transaction_id, id
            from oldest
           where occurred_at >= least(before, now() - interval '7 days')
              or (swept.epoch, transaction_id, id) > (read_epoch, read_transaction, read_id)
           order by transaction_id, id
           limit 1
        ), gone as (
          delete from events e
           using oldest o
           where e.transaction_id = o.transaction_id and e.id = o.id
             and not exists (select from kept k where (o.transaction_id, o.id) >= (k.transaction_id, k.id))
          returning e.transaction_id, e.id
        ), counted as (
          select count(*) as events from gone
        ), last as (
          select transaction_id, id from gone order by transaction_id desc, id desc limit 1
        ), moved as (
          update swept_events s
             set epoch = swept.epoch, transaction_id = last.transaction_id, id = last.id, swept_at = now()
            from last
        )
        select events into deleted from counted;
        exit when deleted > 0 or following is null
             or swept.epoch >= read_epoch
             or exists (
               select from events
                where (transaction_id, id) > (swept.transaction_id, swept.id)
                  and id >= (select first_id from event_epochs where epoch = swept.epoch) and id < following.first_id
             );
        swept.epoch := following.epoch;
        swept.transaction_id := '0';
        swept.id := 0;
      end loop;
      perform set_config('orders_inventory.retention', '', true);
      return deleted;
    end
    $b$
  $f$, current_schema());
end
$$;
revoke execute on function delete_old_events(timestamptz, integer, integer, xid8, bigint) from public;
