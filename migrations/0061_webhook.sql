-- Why: whoever wants to be told of findings had to ask. Endpoints are configured in a file; here stands up to where
-- in the feed of events each has been served, and what is to be sent to it, so that after a restart nothing is lost,
-- and of several replicas one sends. Neither addresses nor secrets are kept.

create table webhook (
    account_id text not null default '000000000000',
    name text not null,
    -- For every event of the feed up to this one its deliveries are there, if it has any.
    position bigint not null,
    created_at timestamptz not null default clock_timestamp(),
    -- Since when nothing is sent: `gone`, its endpoint wants no more; `failed`, it took no attempt of a message.
    disabled_at timestamptz,
    disabled_because text check (disabled_because in ('gone', 'failed')),
    primary key (account_id, name),
    check ((disabled_at is null) = (disabled_because is null))
);

create table webhook_delivery (
    account_id text not null default '000000000000',
    -- `webhook-id`: the same in every attempt.
    id text not null,
    webhook text not null,
    -- The event of the feed; null of a test.
    seq bigint,
    type text not null,
    -- The page of what it is about; empty where it has none.
    page text not null,
    -- What is sent, the same in every attempt.
    body text not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
    attempts integer not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    due_at timestamptz not null default clock_timestamp(),
    -- Whoever sends it, and until when nobody else does.
    lease uuid,
    lease_until timestamptz,
    -- Of the last attempt.
    last_at timestamptz,
    last_status integer,
    last_error text,
    primary key (account_id, id),
    check ((lease is null) = (lease_until is null))
);

create index webhook_delivery_due on webhook_delivery (account_id, webhook, due_at) where state = 'waiting';
create index webhook_delivery_newest on webhook_delivery (account_id, webhook, created_at desc, id desc);
create index webhook_delivery_by_time on webhook_delivery (created_at) where state <> 'waiting';
