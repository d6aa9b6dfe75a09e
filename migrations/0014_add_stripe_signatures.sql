alter table inbound_deliveries
  drop constraint inbound_deliveries_scheme_known,
  add constraint inbound_deliveries_scheme_known
    check (scheme in ('x-webhook-signature', 'standard-webhooks', 'stripe-signature'));
