-- Why: that something changed was to be seen by nobody, though resources are kept as intervals. Which
-- resources a snapshot opened or closed is noted in its transaction, with whether a complete listing before
-- could have shown them and of what moment that was: of an unchanged estate nothing is, and what changed
-- can be worked out again at any later time. A snapshot that changed anything owes its changes, by a row
-- that goes with them.

create table changed_resource (
    account_id text not null,
    run_id bigint not null,
    kind text not null,
    key text not null,
    -- The listing that shows it; empty where there is none.
    region text not null default '',
    cluster text not null default '',
    -- Whether a run before this one had read that listing to its end.
    listed_before boolean not null,
    -- Of what date the account was known before; null: nothing was.
    since timestamptz,
    -- Of what date it is known now.
    until timestamptz not null,
    primary key (account_id, run_id, kind, key)
);

create table owed_change (
    account_id text not null default '000000000000',
    run_id bigint not null,
    primary key (account_id, run_id)
);

create table change (
    account_id text not null,
    id text not null,
    run_id bigint not null,
    resource_type text not null,
    resource text not null,
    change text not null,
    effect text not null,
    -- Keys of the workloads that it reaches.
    affected text[] not null,
    detected_at timestamptz not null,
    -- Between these moments it was made.
    since timestamptz,
    until timestamptz not null,
    -- The change itself, in the audit's own words.
    body jsonb not null,
    -- Who made it, as far as events tell: 'exact', 'candidates', 'none'.
    attribution text not null,
    attribution_because text not null,
    event_time timestamptz,
    effective_at timestamptz not null,
    actor text,
    -- The events that may have made it, the latest last.
    events jsonb not null,
    primary key (account_id, id)
);

create index change_by_id on change (id);
create index change_by_time on change (detected_at desc, id);
create index change_by_resource on change (resource, detected_at desc);
create index change_by_workload on change using gin (affected);
create index change_open on change (until) where attribution <> 'exact';
