-- Why: a session that another account's session opened belongs to an association of that other account. Only
-- the association's id was kept, so that audits worked out again what had been worked out, and could differ.

alter table session
    add column association_account_id text,
    add column association_region text;

-- Of those that EKS opened itself, account and Region are the session's own. The others are attributed again.
update session set attribution_due = true
where association_id is not null and attribution_method in ('chain', 'access_key') and not attribution_due;
