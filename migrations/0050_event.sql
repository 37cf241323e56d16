-- Why: whoever follows what happens had to ask each list again, and a bot that was away missed steps. What happens to
-- findings is numbered already, under a lock that is held until the commit, so that no lower number appears later.
-- What happens to changes and scans takes its numbers from the same counter, and stands here; both together are one
-- feed in one order. A finding's steps stay where they are: nothing is written twice.

create table event (
    account_id text not null,
    seq bigint not null,
    at timestamptz not null,
    kind text not null,
    -- The id of the change, or the number of the scan.
    subject text not null,
    actor text not null,
    detail jsonb not null,
    primary key (account_id, seq)
);

create index event_by_seq on event (seq);
create index event_by_time on event (at);
create index event_by_subject on event (account_id, subject);
create index finding_event_by_seq on finding_event (change_seq);

-- Up to this number the feed is not whole: what happened before it was kept nowhere, or is dropped by now.
insert into counter (account_id, name, value)
    select account_id, 'feed_begin', value from counter where name = 'change';
