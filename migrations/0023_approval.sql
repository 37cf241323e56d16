-- Why: a change that was meant to be looked like one that was not. Who says that a change is meant to be,
-- why, and until when, is kept: every step of it, also its withdrawal, so that an auditor finds who said what.
-- The last step of each change decides.

create table approval (
    account_id text not null,
    change_id text not null,
    -- The steps of a change, from 1.
    number integer not null,
    step text not null check (step in ('approved', 'withdrawn')),
    at timestamptz not null default now(),
    who text not null,
    reason text not null,
    ticket text,
    -- When it ends; null: never.
    until timestamptz,
    is_last boolean not null default true,
    primary key (account_id, change_id, number)
);

create unique index approval_last on approval (account_id, change_id) where is_last;

-- What the approval of each change is now. What follows from another change is approved with it.
create view change_approval as
    select account_id, change_id, at, who, reason, ticket, until,
           case when step = 'withdrawn' then 'withdrawn'
                when until <= now() then 'expired'
                else 'approved' end as state
    from approval
    where is_last;
