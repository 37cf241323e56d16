-- Why: a program that did not get the answer to a request that changes something does not know whether it was done,
-- and sends it again. With a key of its own it gets the first answer, for a day, from any replica.

create table idempotency (
    account_id text not null default '000000000000',
    -- Whose key it is.
    credential text not null,
    key text not null,
    -- The SHA-256 of the request.
    request_digest bytea not null check (octet_length(request_digest) = 32),
    taken_at timestamptz not null default clock_timestamp(),
    -- The answer; null while the request is under way.
    status smallint,
    headers jsonb,
    body bytea,
    primary key (account_id, credential, key),
    check ((status is null) = (body is null) and (status is null) = (headers is null))
);

create index idempotency_by_time on idempotency (taken_at);
