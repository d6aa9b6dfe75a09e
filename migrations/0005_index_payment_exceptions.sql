-- The filters of the list that staff works off, beside status and order: exceptions are few, but kept for ever.
create index payment_exceptions_reason_idx on payment_exceptions (reason, id);
create index payment_exceptions_created_at_idx on payment_exceptions (created_at);
