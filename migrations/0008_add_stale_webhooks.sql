-- A delivery that its provider has signed, but at a time that is more than five minutes off, is not a forged one.
alter table webhook_refusals drop constraint webhook_refusals_verdict_known;
alter table webhook_refusals add constraint webhook_refusals_verdict_known
  check (verdict in ('valid', 'forged', 'stale', 'missing', 'unchecked'));
