-- Why: the trend and the numbers of the latest scan read every step of every finding, however long ago. How many
-- findings each run opened and resolved, on each day, is kept instead, and written with the steps.

-- Steps of findings that are listed by themselves; a row belongs to the installation.
create table finding_step_count (
    account_id text not null default '000000000000',
    -- 0: no run took the steps.
    run_id bigint not null,
    -- In UTC.
    day date not null,
    -- Opened or reopened.
    opened bigint not null default 0,
    resolved bigint not null default 0,
    primary key (account_id, run_id, day)
);

insert into finding_step_count (run_id, day, opened, resolved)
    select coalesce(e.run_id, 0), (e.at at time zone 'UTC')::date,
           count(*) filter (where e.kind in ('opened', 'reopened')), count(*) filter (where e.kind = 'resolved')
    from finding_event e join finding f on f.account_id = e.account_id and f.fingerprint = e.fingerprint
    where e.kind in ('opened', 'reopened', 'resolved') and f.part_of is null
    group by 1, 2;
