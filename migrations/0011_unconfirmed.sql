-- Why: a listing that was not read to its end still shows what it shows. What it showed is judged;
-- what only an earlier run knows is neither there nor gone. Nothing is written for what did not
-- change, so the exception is marked: resources, and descriptions of resources, that the latest scan
-- of their listing did not show and that are not proven to be gone. Seen again, the mark goes.
create table unconfirmed (
    account_id text not null,
    kind text not null,
    key text not null,
    since_run bigint not null,
    primary key (account_id, kind, key)
);
