-- Why: the overview says what changed since a person was here last. That is per person, and the same after a page is
-- loaded again: it moves when a visit is over, not with each request.

create table visit (
    account_id text not null default '000000000000',
    person text not null,
    -- When this visit began, and the last request of it, to some minutes.
    began_at timestamptz not null,
    seen_at timestamptz not null,
    -- The last request of the visit before; null: there was none.
    previous_at timestamptz,
    primary key (account_id, person)
);
