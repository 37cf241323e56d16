-- Why: an estate hardly changes from one look to the next, so what did not change must cost
-- nothing. Documents are kept once by their content; resources are kept as validity intervals,
-- from the run that first saw a version to the run that saw it gone or replaced.

create table document (
    account_id text not null,
    digest bytea not null check (octet_length(digest) = 32),
    text text not null,
    first_run bigint not null,
    primary key (account_id, digest)
);

-- One table for every kind of resource: the interval logic is written, and tested, once. The body
-- is the resource in full; the columns beside it are what pages and filters ask for.
create table resource (
    account_id text not null,
    kind text not null,
    key text not null,
    seen_from bigint not null,
    -- Null: still there as far as we know.
    seen_to bigint,
    digest bytea not null check (octet_length(digest) = 32),
    body jsonb not null,
    name text,
    region text,
    cluster text,
    namespace text,
    service_account text,
    role_arn text,
    target_role_arn text,
    primary key (account_id, kind, key, seen_from),
    check (seen_to is null or seen_to > seen_from)
);

create unique index resource_current on resource (account_id, kind, key) where seen_to is null;
create index resource_current_by_kind on resource (kind, key) where seen_to is null;
create index resource_current_by_role on resource (role_arn) where seen_to is null and role_arn is not null;
create index resource_current_by_target on resource (target_role_arn) where seen_to is null and target_role_arn is not null;

-- When IAM last saw a role used: apart from the role, since it changes without the role changing.
create table role_last_used (
    account_id text not null,
    role_arn text not null,
    at timestamptz not null,
    region text,
    primary key (account_id, role_arn)
);

-- One row an AssumeRole. Partitioned by month, so that retention drops a table and deletes no row;
-- the store makes the partitions that it writes to. CloudTrail's event time is part of the event,
-- so the same event always has the same key.
create table session (
    account_id text not null,
    event_id text not null,
    at timestamptz not null,
    region text not null,
    kind text not null,
    role_arn text,
    session_name text,
    access_key_id text,
    principal text not null,
    principal_type text not null,
    parent_access_key_id text,
    source_ip text,
    tags jsonb not null,
    external_id text,
    duration_seconds bigint,
    packed_policy_size smallint,
    error text,
    cluster text,
    first_run bigint not null,
    primary key (account_id, event_id, at)
) partition by range (at);

create index session_by_time on session (at desc, account_id, event_id);
create index session_by_role on session (account_id, role_arn, at desc) where role_arn is not null;
