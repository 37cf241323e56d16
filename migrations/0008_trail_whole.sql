-- Why: that a call is not there means that it was not made only where the trail was read whole. What
-- is read of a day (`trail_day`) does not tell that: it says what came, not that nothing is missing.

-- One stretch of time a source and region, of which nothing is missing that CloudTrail delivered
-- there. Its beginning never moves back: what lies before it may have been given up.
create table trail_whole (
    account_id text not null,
    region text not null,
    source text not null,
    from_at timestamptz not null,
    -- Up to, and without, this moment. Where it is not behind the beginning, nothing is whole yet.
    to_at timestamptz not null,
    -- Which events the source has, and for a bucket its name.
    holds text not null check (holds in ('sessions', 'management', 'bucket', 'stated')),
    bucket text check ((bucket is not null) = (holds = 'bucket')),
    -- Whether the source would have shown another region of the account, had it any events.
    all_regions boolean not null,
    primary key (account_id, region, source)
);
