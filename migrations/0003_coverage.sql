-- Why: nothing may be said to be right, or gone, that was not seen. For every scope the latest
-- look is kept, and since when a complete one exists; gaps are kept for every run, as its history.

create table coverage (
    account_id text not null,
    scope text not null,
    -- '' for scopes that have no region or no cluster: they are part of the key.
    region text not null,
    cluster text not null,
    last_run bigint not null,
    last_at timestamptz not null,
    complete boolean not null,
    last_complete_run bigint,
    last_complete_at timestamptz,
    primary key (account_id, scope, region, cluster)
);

create table coverage_gap (
    account_id text not null,
    run_id bigint not null,
    id uuid not null,
    scope text not null,
    region text not null,
    cluster text not null,
    action text not null,
    reason text not null,
    detail text not null,
    primary key (account_id, run_id, id)
);

create index coverage_gap_by_scope on coverage_gap (account_id, scope, region, cluster, run_id);
