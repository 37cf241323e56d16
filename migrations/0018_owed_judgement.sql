-- Why: what is read of trails is kept part by part, and a snapshot when its look ends: long before the
-- findings of the audit that brought them. A process that ended in between left sessions that no later
-- audit judged, since each judges its window and what it brought itself. So a judgement that is owed is
-- a row, written with what is to be judged, and deleted with the findings of the audit that judged it.

create table owed_judgement (
    account_id text not null default '000000000000',
    id uuid not null,
    -- Sessions from this moment on are to be judged; null: no session came with it.
    since timestamptz,
    -- What the next snapshot is to say, in the reader's own words: accounts that records named, and
    -- what could not be read and does not come again. Null: nothing.
    told jsonb,
    owed_at timestamptz not null default clock_timestamp(),
    primary key (account_id, id)
);
