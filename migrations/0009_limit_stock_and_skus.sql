-- Two rules that older data may break. Both are for people to mend, with the version that still runs: this migration
-- neither renames what a shop prints on its labels nor writes stock off. It refuses, says which products it means, and
-- changes nothing.
do $$
declare
  broken text;
begin
  select string_agg(same, ', ') into broken from (
    select string_agg(sku || ' (product ' || id || ')', ' and ' order by id) as same
      from products group by lower(sku) having count(*) > 1 order by min(id) limit 20
  ) as twins;
  if broken is not null then
    raise exception 'SKUs differ only in case, which no two products may do any more: %. '
      'Rename or delete all but one of each with the version that ran before, then start this one again', broken;
  end if;

  select string_agg(sku || ' (product ' || id || ')', ', ' order by id) into broken from (
    select sku, id from products where on_hand > 1000000000 order by id limit 20
  ) as excessive;
  if broken is not null then
    raise exception 'more than 1000000000 pieces are on hand of %. '
      'Lower their stock with the version that ran before, then start this one again', broken;
  end if;
end
$$;

-- A SKU is unique whatever its case. This index also serves the filter by SKU, so the one on the spelling is not needed.
alter table products drop constraint products_sku_key;
create unique index products_sku_key on products (lower(sku));

-- What is on hand bounds what is reserved and what can be sold, and so every quantity there is.
alter table products add constraint products_on_hand_range check (on_hand <= 1000000000);

-- Not valid, because the history of an older database stays as it was; new movements are checked all the same.
alter table stock_movements add constraint stock_movements_on_hand_range check (on_hand_after <= 1000000000) not valid;
