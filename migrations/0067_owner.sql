-- Why: a finding and an association belong to somebody, by ownership rules and tags (ADR 57). Whose it was is decided
-- when it is judged, and is kept with what says so, so that lists and messages need not decide it again. Null: nothing
-- was decided yet.

alter table finding
    -- The owner's name; null where it has none, or where that is not known.
    add column owner text,
    -- Whether it has one, in three values.
    add column owned text check (owned in ('true', 'false', 'unknown')),
    -- What says so.
    add column owner_because jsonb;

create index finding_by_owner on finding (owner, severity_rank desc, number desc) where owner is not null;

create table association_owner (
    account_id text not null,
    -- The association's key.
    association text not null,
    owner text,
    owned text not null check (owned in ('true', 'false', 'unknown')),
    owner_because jsonb not null,
    primary key (account_id, association)
);

create index association_by_owner on association_owner (owner, association) where owner is not null;

-- Whoever sees an association sees whose it is.
alter table association_owner enable row level security;
create policy limited on association_owner for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or association in (select key from limited_association));
grant select on association_owner to rolecall_limited;
