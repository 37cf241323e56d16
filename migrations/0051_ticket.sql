-- Why: two bots that read the same finding each filed a ticket for it, and nobody saw in the console where the work
-- goes on. Whoever files takes the finding for a while first; of several one gets it. The key that the ticket is
-- marked with stays the same however often that is taken anew, so that whoever comes after a bot that went away can
-- look whether it had filed already.

create table finding_ticket (
    account_id text not null,
    fingerprint text not null,
    -- How the installation calls the tracker.
    system text not null,
    -- What a ticket of this finding is marked with; another one once a ticket was taken away.
    idempotency_key text not null,
    -- Who took it last: the worker, and whose credential it has.
    holder text,
    reserved_by text,
    reserved_at timestamptz,
    lease_until timestamptz,
    -- The SHA-256 of the token that the reservation gave; null where nobody holds it.
    token_digest bytea check (octet_length(token_digest) = 32),
    -- How often it was taken since the key is what it is.
    reservations integer not null default 0,
    -- The ticket; null while there is none.
    key text,
    url text,
    linked_by text,
    linked_at timestamptz,
    primary key (account_id, fingerprint, system),
    check ((key is null) = (linked_at is null)),
    check ((key is null) = (linked_by is null))
);

create index finding_ticket_by_system on finding_ticket (system, account_id, fingerprint) where key is not null;
