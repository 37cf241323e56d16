-- Why: people come back to the same lists, with the same filters, order and columns. A saved view is the address of a
-- list under a name: it holds no rows, so that whoever opens it sees what they may see.

create table saved_view (
    account_id text not null default '000000000000',
    -- The last part of its short address; it stays when the view is renamed.
    slug text not null,
    name text not null,
    -- Who saved it, as the audit log names them.
    owner text not null,
    -- The list, such as `/findings`, and its query without `?`.
    path text not null,
    query text not null,
    shared boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account_id, slug)
);

-- A name tells one's own views apart.
create unique index saved_view_by_owner on saved_view (account_id, owner, lower(name));
create index saved_view_shared on saved_view (account_id, path) where shared;

-- Views are of people, not of an estate: whoever sees a part of it has views, too.
do $$
begin
    if exists (select from pg_roles where rolname = 'rolecall_limited') then
        grant select, insert, update, delete on saved_view to rolecall_limited;
    end if;
end $$;

-- The list of findings by when each was first seen.
create index finding_by_first_seen on finding (first_seen_at desc, number desc) where part_of is null;
-- Roles by when IAM saw each used.
create index role_last_used_by_time on role_last_used (at desc, role_arn desc);
