-- Why: who did what must be known later, also where whoever did it could write to this database. Each entry holds
-- the hash of the one before, so that a changed, removed, inserted or moved entry no longer fits. The head is kept
-- apart: its row is locked by whoever appends, which gives one chain and numbers without gaps.

create table audit_log (
    account_id text not null default '000000000000',
    seq bigint not null check (seq > 0),
    at timestamptz not null,
    actor_kind text not null,
    actor text not null,
    action text not null,
    outcome text not null check (outcome in ('success', 'failure')),
    -- What was acted on, such as the number of a finding; null where the action says all.
    object text,
    -- JSON in its canonical form, as it was hashed: text, since jsonb would not give it back.
    detail text not null,
    source_ip text,
    request_id text,
    previous_hash bytea not null check (octet_length(previous_hash) = 32),
    hash bytea not null check (octet_length(hash) = 32),
    primary key (account_id, seq)
);

create index audit_log_by_object on audit_log (account_id, object, seq) where object is not null;
create index audit_log_by_actor on audit_log (account_id, actor, seq);

create table audit_log_head (
    account_id text not null default '000000000000' primary key,
    seq bigint not null,
    hash bytea not null check (octet_length(hash) = 32)
);

insert into audit_log_head (seq, hash) values (0, decode(repeat('00', 32), 'hex'));

-- A program's mistake cannot change what was written. Whoever owns the tables can drop the trigger: then the hashes
-- tell.
create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end $$;

create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();

-- What a limited principal does is written down too; nothing of the log is theirs to read.
do $$
begin
    if exists (select from pg_roles where rolname = 'rolecall_limited') then
        grant insert on audit_log to rolecall_limited;
        grant select, update on audit_log_head to rolecall_limited;
    end if;
end $$;
