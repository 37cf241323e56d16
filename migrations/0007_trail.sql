-- Why: CloudTrail says what every session did, but a row an event would cost more than reading it
-- and grow for ever. So events are counted, not kept: what is stored grows with sessions and with
-- distinct uses. An event counts once, however often it is delivered: each day of an account and
-- region keeps the marks of the events that it has counted, until the day is closed.

-- Which pod a session belongs to, and how that is known.
alter table session
    add column namespace text,
    add column service_account text,
    add column pod text,
    add column association_id text,
    add column tied_by text,
    -- Why it is not tied to one association.
    add column tie_why text,
    -- How many sessions lie between it and the one that EKS opened.
    add column tie_depth smallint not null default 0,
    -- Associations that it can belong to, where there are several.
    add column candidates jsonb not null default '[]',
    -- To be tied, or tied again: it is new, or its parent or an association that it may belong to is.
    add column tie_due boolean not null default true;

create index session_by_key on session (access_key_id) where access_key_id is not null;
create index session_by_parent on session (parent_access_key_id) where parent_access_key_id is not null;
create index session_by_association on session (account_id, association_id, at desc) where association_id is not null;
create index session_due on session (account_id, at) where tie_due;

-- One row an account whose trail is counted. Its row lock lets one writer at a time count for it,
-- and hands out the numbers of its dictionaries.
create table trail_account (
    account_id text not null,
    names integer not null default 0,
    principals integer not null default 0,
    primary key (account_id)
);

-- Actions, resource shapes and roles, each text once.
create table trail_name (
    account_id text not null,
    id integer not null,
    text text not null,
    primary key (account_id, id)
);

create unique index trail_name_by_text on trail_name (account_id, text);

-- Who used: one row a session's access key. Once a key is old and tied, what it did is folded into
-- the row of its role and association, which has no access key.
create table trail_principal (
    account_id text not null,
    id integer not null,
    role integer not null,
    access_key_id text not null,
    -- '' where it is not known, or where there is none.
    association_id text not null default '',
    first_at timestamptz not null,
    last_at timestamptz not null,
    calls bigint not null,
    errors bigint not null,
    -- Errors that were refusals.
    denied bigint not null,
    -- Kinds of networks that the calls came from, as bits, and one of the addresses.
    networks smallint not null,
    source text,
    primary key (account_id, id)
);

create unique index trail_principal_by_key on trail_principal (account_id, role, access_key_id, association_id);
create index trail_principal_of_key on trail_principal (access_key_id) where access_key_id <> '';
create index trail_principal_by_association on trail_principal (association_id, account_id) where association_id <> '';

-- What was used. Narrow, as there are many: wide values are numbers of `trail_name`.
create table trail_use (
    first_at timestamptz not null,
    last_at timestamptz not null,
    calls bigint not null,
    errors bigint not null,
    denied bigint not null,
    day date not null,
    principal integer not null,
    action integer not null,
    shape integer not null,
    account_id text not null,
    primary key (account_id, principal, action, shape, day)
) partition by range (day);

-- When each role first and last used each action: what most questions ask for, without the days.
create table role_action (
    account_id text not null,
    role integer not null,
    action integer not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    calls bigint not null,
    errors bigint not null,
    denied bigint not null,
    primary key (account_id, role, action)
);

-- What was read of each day. A closed day no longer knows its events, only the files that it read.
create table trail_day (
    account_id text not null,
    region text not null,
    day date not null,
    files bigint not null default 0,
    events bigint not null default 0,
    last_written_at timestamptz not null,
    closed_at timestamptz,
    primary key (account_id, region, day)
);

create index trail_day_open on trail_day (last_written_at) where closed_at is null;

-- Marks: sorted 64-bit numbers in few bytes. A row is written once and never changed; many small
-- ones are replaced by one.
create table trail_seen (
    account_id text not null,
    region text not null,
    day date not null,
    kind text not null check (kind in ('event', 'file')),
    id uuid not null,
    marks bytea not null,
    count integer not null,
    primary key (account_id, region, day, kind, id)
);

-- Where events come from, how far their reading is and how it went.
create table trail_source (
    account_id text not null default '000000000000',
    name text not null,
    kind text not null,
    state text not null check (state in ('reading', 'idle', 'failed')),
    started_at timestamptz not null,
    finished_at timestamptz,
    -- The last time that it was read to its end.
    caught_up_at timestamptz,
    -- The newest event that was counted.
    newest_event_at timestamptz,
    files bigint not null default 0,
    events bigint not null default 0,
    bytes bigint not null default 0,
    duplicates bigint not null default 0,
    malformed bigint not null default 0,
    -- Files or messages known to wait; null where the source cannot say.
    waiting bigint,
    error text,
    primary key (account_id, name)
);

-- How far each stretch of a source was read; only the source knows what a position means.
create table trail_cursor (
    account_id text not null,
    source text not null,
    region text not null,
    position text not null,
    -- Objects that lie under earlier days do not come again.
    from_day date,
    updated_at timestamptz not null,
    primary key (account_id, source, region)
);

-- What could not be read, by name. The newest are kept; all are counted.
create table trail_problem (
    account_id text not null default '000000000000',
    id uuid not null,
    source text not null,
    file text not null,
    place text not null,
    kind text not null,
    message text not null,
    at timestamptz not null,
    primary key (account_id, id)
);

create index trail_problem_by_time on trail_problem (source, at desc);

-- How far associations have been looked through for sessions to tie again.
insert into counter (name, value) values ('tie', 0);

-- Versions of associations by the roles that they had, to tie sessions of any time.
create index association_by_role on resource (role_arn) where kind = 'association' and role_arn is not null;
create index association_by_target on resource (target_role_arn) where kind = 'association' and target_role_arn is not null;
create index association_by_key on resource (key) where kind = 'association';
