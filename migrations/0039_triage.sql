-- Why: people and programs take steps in a finding's workflow. A suppression always ends, says why, and may need
-- another person's word before it holds; each one is kept, also after its end, beside the exceptions of the policy
-- files. A due date stands still while a finding is suppressed, so it is kept for how long it was.

alter table finding
    -- A person's or a team's name.
    add column assignee text,
    -- Since when it is suppressed; null where it is not.
    add column suppressed_at timestamptz,
    -- For how long it was suppressed before, in this episode.
    add column paused_seconds bigint not null default 0;

update finding f set suppressed_at = coalesce(
    (select max(e.at) from finding_event e
     where e.account_id = f.account_id and e.fingerprint = f.fingerprint and e.kind = 'suppressed'),
    f.updated_at)
where f.workflow = 'suppressed';

create index finding_by_assignee on finding (assignee, severity_rank desc, number desc) where assignee is not null;

create table suppression (
    account_id text not null,
    fingerprint text not null,
    -- The suppressions of a finding, from 1.
    number integer not null,
    reason text not null check (reason in ('false_positive', 'risk_accepted', 'compensating_control', 'test')),
    justification text not null,
    until timestamptz not null,
    requested_by text not null,
    requested_at timestamptz not null,
    -- Another person than who asked; null where nobody else had to agree.
    approved_by text,
    -- From when it suppresses; null while it awaits approval.
    in_force_at timestamptz,
    ended_at timestamptz,
    ended_by text,
    ended_because text check (ended_because in ('expired', 'opened', 'replaced', 'declined', 'withdrawn')),
    primary key (account_id, fingerprint, number),
    check ((ended_at is null) = (ended_because is null))
);

-- One at most is in force, and one at most awaits approval.
create unique index suppression_open on suppression (account_id, fingerprint, (in_force_at is null)) where ended_at is null;
create index suppression_by_end on suppression (until, account_id, fingerprint, number);
