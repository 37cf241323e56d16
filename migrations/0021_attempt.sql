-- Why: a trail file, an imported file or an account on which the process dies was read first again by the
-- next run, which died as well, so that nothing else was ever read. An attempt is a row that is committed
-- before the work begins; it goes with its success, or with a run that ends in whatever way a run can end
-- by itself. What is left of a run that is not under way is a death. A unit with two of them is set aside.

create table attempt (
    account_id text not null default '000000000000',
    kind text not null check (kind in ('trail', 'file', 'judging')),
    -- The source's name.
    source text not null,
    -- Where it lies, or the account.
    unit text not null,
    -- What tells one content of it from another: one that was mended is tried again.
    version text not null,
    run_id bigint not null,
    at timestamptz not null default clock_timestamp(),
    primary key (account_id, kind, source, unit, run_id)
);

create index attempt_of_run on attempt (account_id, run_id);

-- Why: a trail file that could not be read whole was a gap only in the run that read it, though its day
-- stays incomplete. What is damaged is kept by its day, and each run tells it as long as it judges the day.

create table trail_damage (
    account_id text not null,
    region text not null,
    day date not null,
    -- CloudTrail's own name of the file, whatever source it came by; otherwise where it lies.
    file text not null,
    -- Where it lay when it was read.
    location text not null,
    reason text not null,
    detail text not null,
    at timestamptz not null default clock_timestamp(),
    primary key (account_id, region, day, file)
);
