-- Why: everything else is dated by the run that saw it. A run is one look at the estate, or one
-- judgement of it; its number orders all that was ever seen.
--
-- Rows that belong to the installation as a whole and to no AWS account carry the account id
-- '000000000000'. So every key carries `account_id`, and every table can be distributed by it.

create table run (
    account_id text not null default '000000000000',
    id bigint not null,
    kind text not null,
    trigger text not null,
    state text not null check (state in ('running', 'done', 'failed', 'interrupted')),
    started_at timestamptz not null,
    finished_at timestamptz,
    -- A run is alive while this lies ahead; whoever runs it renews it.
    lease_until timestamptz not null,
    -- Set once its snapshot transaction is open; from then on the transaction itself proves life.
    collecting_since timestamptz,
    -- Set inside the snapshot transaction: not null means that the snapshot is visible.
    snapshot_at timestamptz,
    report jsonb not null default '{}',
    error text,
    primary key (account_id, id)
);

-- Numbers that must follow each other without a gap. The row lock orders the transactions that
-- take them, so a reader who has seen number n will never see a smaller one appear later.
create table counter (
    account_id text not null default '000000000000',
    name text not null,
    value bigint not null,
    primary key (account_id, name)
);

insert into counter (name, value) values ('run', 0), ('snapshot', 0), ('finding', 0), ('change', 0);
