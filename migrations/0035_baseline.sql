-- Why: one change could be approved, and a state could not: who had looked at a role, or at a whole account, and found
-- it right had to approve each change that led there, and the next scan was compared with the scan before, approved or
-- not. The approved state of a resource is kept with its digest, who approved it, why and until when, and how the
-- resource stood against it at the latest scan.

create table baseline (
    account_id text not null,
    id text not null,
    resource_type text not null,
    resource text not null,
    -- The SHA-256 of the canonical form of the approved state.
    digest text not null,
    -- The approved state with its documents and signature, as it stands in a file.
    body jsonb not null,
    at timestamptz not null,
    who text not null,
    reason text not null,
    ticket text,
    -- When it ends; null: never.
    until timestamptz,
    -- The public key whose signature was verified; null: it is not signed.
    signed_by text,
    -- The file that it was read from; null: it was approved here.
    file text,
    -- When it was withdrawn, or another one of the resource took its place; null: it is in force.
    ended_at timestamptz,
    ended_by text,
    ended_because text,
    -- How the resource stood at the latest scan, and what differs.
    state text not null check (state in ('differs', 'removed', 'unknown', 'matches')),
    compared jsonb not null,
    compared_at timestamptz not null default now(),
    primary key (account_id, id)
);

create unique index baseline_in_force on baseline (account_id, resource_type, resource) where ended_at is null;
create index baseline_by_id on baseline (id);
create index baseline_by_resource on baseline (resource);

-- A change whose result is part of the approved state is approved with it.
alter table approval add column baseline text;
create index approval_by_baseline on approval (baseline) where is_last and baseline is not null;

create or replace view change_approval as
    select account_id, change_id, at, who, reason, ticket, until,
           case when step = 'withdrawn' then 'withdrawn'
                when until <= now() then 'expired'
                else 'approved' end as state,
           baseline
    from approval
    where is_last;
