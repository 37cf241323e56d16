-- Why: the list of accounts counts what each of them has, now or at a time that has passed. Over a history that
-- read an entry of an index for every version of every resource. How many there are after each run that changed
-- it is kept instead, and written with the run's snapshot.

create table resource_count (
    account_id text not null,
    kind text not null,
    -- From this run on.
    run_id bigint not null,
    number bigint not null check (number >= 0),
    primary key (account_id, kind, run_id)
);

insert into resource_count (account_id, kind, run_id, number)
    select account_id, kind, run_id, sum(sum(step)) over (partition by account_id, kind order by run_id)
    from (select account_id, kind, seen_from as run_id, 1 as step from resource
          union all
          select account_id, kind, seen_to, -1 from resource where seen_to is not null) as steps
    group by account_id, kind, run_id;

-- A list of clusters counts the associations of each, and read all associations of its account for that.
create index association_by_cluster on resource (account_id, cluster, region, namespace) include (seen_from, seen_to)
    where kind = 'association';
