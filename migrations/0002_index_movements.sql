-- The ledger of one product, read by kind and by time.
--
-- Placing an order writes a movement of the kind reserved, which no index here holds: the busiest way there is pays for
-- none of this. Those of the kinds reserved and shipped are most of a long ledger, so a page of them is found by reading
-- it from its end; the others may be few among millions.
create index stock_movements_seldom_idx on stock_movements (product_id, kind, id)
  where kind in ('received', 'adjusted', 'released');

-- Ids and times of one product's movements grow together, for the reason that order_id_near gives, so a period is a range
-- of ids. Returns an id that stands within about 100 ids of the product's first movement at the instant or later.
create function movement_id_near(product bigint, instant timestamptz) returns bigint language plpgsql stable as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  probed timestamptz;
begin
  select min(id), max(id) + 1 into low, high from stock_movements where product_id = product;
  while high - low > 100 loop
    middle := (low + high) / 2;
    select created_at into probed
      from stock_movements
     where product_id = product and id >= middle and id < high
     order by id limit 1;
    if not found or probed >= instant then
      high := middle;
    else
      low := middle;
    end if;
  end loop;
  return high;
end
$$;
