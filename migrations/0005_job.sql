-- Why: any number of replicas share the work, and each slot of a schedule starts one job. Slots,
-- jobs and leases are rows with an expiry; `skip locked` hands each job to one worker. They belong
-- to the installation, so one account id holds the whole queue and a claim stays in one place.

create table schedule_slot (
    account_id text not null default '000000000000',
    name text not null,
    slot timestamptz not null,
    claimed_at timestamptz not null,
    primary key (account_id, name, slot)
);

create table job (
    account_id text not null default '000000000000',
    id uuid not null,
    kind text not null,
    -- At most one job of a kind and key waits or runs at a time.
    dedupe_key text not null,
    payload jsonb not null,
    priority integer not null,
    run_at timestamptz not null,
    attempts integer not null default 0,
    max_attempts integer not null,
    state text not null check (state in ('queued', 'running', 'done', 'failed')),
    lease_owner text,
    lease_until timestamptz,
    error text,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (account_id, id)
);

create unique index job_once on job (account_id, kind, dedupe_key) where state in ('queued', 'running');
create index job_due on job (account_id, priority desc, run_at) where state = 'queued';
create index job_leased on job (account_id, lease_until) where state = 'running';

-- Work that only one process may do at a time.
create table lease (
    account_id text not null default '000000000000',
    name text not null,
    owner text not null,
    until timestamptz not null,
    primary key (account_id, name)
);
