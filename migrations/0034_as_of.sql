-- Why: resources are kept over time, but nobody could ask for a moment that has passed: their intervals had indexes for
-- the present only, and of what a scan had listed then only the gaps were left, so that what was not there could not be
-- told from what was not seen. How each listing stood is kept from now on: a row for each change of it.

create index resource_by_kind on resource (kind, key, seen_from);

create table coverage_state (
    account_id text not null,
    scope text not null,
    region text not null,
    cluster text not null,
    -- From this run on.
    run_id bigint not null,
    -- Whether it was read to its end; null: there is no such listing any more.
    complete boolean,
    primary key (account_id, scope, region, cluster, run_id)
);

-- Of the past it is known when a listing had gaps, and when it was last complete.
insert into coverage_state (account_id, scope, region, cluster, run_id, complete)
    select distinct account_id, scope, region, cluster, run_id, false from coverage_gap;
insert into coverage_state (account_id, scope, region, cluster, run_id, complete)
    select account_id, scope, region, cluster, last_complete_run, true from coverage where last_complete_run is not null
    on conflict do nothing;
insert into coverage_state (account_id, scope, region, cluster, run_id, complete)
    select account_id, scope, region, cluster, last_run, complete from coverage
    on conflict do nothing;
