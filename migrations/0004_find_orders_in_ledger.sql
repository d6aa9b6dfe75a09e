-- The ledger says which orders named a product, so the items need no index of their own for that: the one that keeps
-- each effect single finds them, once it begins with the product. An index less on the busiest way there is.
alter table stock_movements drop constraint stock_movements_effect_key;
alter table stock_movements add constraint stock_movements_effect_key unique (product_id, order_id, kind);
drop index order_items_product_id_idx;

create or replace function refuse_product_of_orders() returns trigger language plpgsql as $$
begin
  if exists (select from stock_movements where product_id = old.id and order_id is not null) then
    raise exception 'orders name product %', old.id
      using errcode = 'foreign_key_violation', constraint = 'products_not_in_orders';
  end if;
  return old;
end
$$;
