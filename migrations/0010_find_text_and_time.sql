-- Text that is searched in any case, and times that are found whole whatever the clock did.

-- The same text in any case, and composed or not, has one search_text. ASCII is done without a collation, because it is
-- what nearly all of it is, and the index on orders is written with every order. For the rest, lower() needs a collation
-- that knows letters, which the database's own may not (LC_CTYPE=C).
do $$
declare
  collation_name text;
begin
  select quote_ident(nspname) || '.' || quote_ident(collname) into collation_name
    from pg_collation c
    join pg_namespace n on n.oid = c.collnamespace
   where collname in ('und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8')
     and collencoding in (-1, 6)
   order by array_position(array['und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8'], collname::text)
   limit 1;
  execute format($f$
    create function search_text(given text) returns text language sql immutable parallel safe as $s$
      select case when octet_length(given) = char_length(given) then lower(given collate "C") collate "C"
                  else lower(normalize(given, nfc) collate %s) collate "C" end
    $s$
  $f$, coalesce(collation_name, '"default"'));
end
$$;

drop index orders_customer_email_idx;
create index orders_customer_email_idx on orders (search_text(customer_email), id) where customer_email is not null;

-- Trigrams are an extension that comes with PostgreSQL and that an owner of the database may create. Where that is not
-- allowed, the search reads the whole catalogue instead, and finds the same.
do $$
declare
  place text;
begin
  begin
    create extension if not exists pg_trgm;
  exception when others then
    raise notice 'no index for the search of products: %', sqlerrm;
  end;
  select quote_ident(nspname) into place
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_trgm';
  if place is not null then
    execute format('create index products_search_idx on products using gin (search_text(name) %1$s.gin_trgm_ops, search_text(sku) %1$s.gin_trgm_ops)', place);
  end if;
end
$$;

-- Times mostly grow with ids, so a period is a range of ids; but a clock that was set back leaves rows whose times are
-- less than those before them. The binary search of order_id_near and its like (0001 to 0003) gives a first guess of the
-- range. These indexes then name the few pages that have rows of the period outside of it, and the range is widened to
-- hold them. They are a thousandth of the size of a b-tree, and cost an order nothing that can be measured, where a
-- b-tree costs 2 µs.
create index orders_time_idx on orders using brin (created_at, id) with (pages_per_range = 32, autosummarize = on);
create index stock_movements_time_idx on stock_movements using brin (created_at, id)
  with (pages_per_range = 32, autosummarize = on);
create index payment_events_time_idx on payment_events using brin (received_at, id)
  with (pages_per_range = 32, autosummarize = on);

-- The first id of the instant or later, and the id behind the last one before it. `id + 0` and the settings keep the
-- planner from walking along the primary key to find nothing; the cost, which is about what a call takes, keeps it from
-- plans that call them for each row.
create function order_first_id(instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(min(id + 0), guess) from orders where id < guess and created_at >= instant
$$;
create function order_end_id(instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(max(id + 0) + 1, guess) from orders where id >= guess and created_at < instant
$$;
create function movement_first_id(product bigint, instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(min(id + 0), guess) from stock_movements
   where id < guess and created_at >= instant and product_id + 0 = product
$$;
create function movement_end_id(product bigint, instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(max(id + 0) + 1, guess) from stock_movements
   where id >= guess and created_at < instant and product_id + 0 = product
$$;
create function payment_event_first_id(instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(min(id + 0), guess) from payment_events where id < guess and received_at >= instant
$$;
create function payment_event_end_id(instant timestamptz, guess bigint) returns bigint language sql stable cost 100000
  set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off as $$
  select coalesce(max(id + 0) + 1, guess) from payment_events where id >= guess and received_at < instant
$$;
