-- The stock at which a product counts as low; null for never.
alter table products
  add column low_stock_threshold bigint,
  add constraint products_low_stock_threshold_range check (low_stock_threshold between 1 and 1000000000);
