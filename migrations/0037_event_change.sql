-- Why: what was changed and changed back between two scans was in its events only, and nobody read them as a
-- change. Such a change is a row beside those that scans show. To tell it takes the estate as the scan before the
-- call left it, so which run read which account, and of what date that is, is kept: runs read different accounts.
-- Events come late and scans come after them, so what is told of an account is worked out again from a moment on
-- when either comes; that it must be is a row that goes with what came of it.

alter table change
    add column seen_in text not null default 'snapshots' check (seen_in in ('snapshots', 'events')),
    -- When a later call undid it, or of what date the scan is that does not show it; null: of a change that
    -- scans show, or that none has shown yet.
    add column ended_at timestamptz,
    -- The event of the call that undid it.
    add column ended_by text;

create index change_of_events on change (account_id, event_time) where seen_in = 'events';

create table account_scan (
    account_id text not null,
    run_id bigint not null,
    -- When the run began to read it; of files their date.
    begun_at timestamptz not null,
    -- Of what date what is known of it is.
    at timestamptz not null,
    primary key (account_id, run_id)
);

insert into account_scan (account_id, run_id, begun_at, at)
    select d.account_id, r.id, d.at, d.at
    from account_date d, lateral (select max(id) as id from run where snapshot_at is not null) r
    where r.id is not null;

create table owed_replay (
    account_id text primary key,
    since timestamptz not null,
    -- Another one whenever more is owed, so that what came meanwhile is not settled.
    number bigint not null default 1
);
