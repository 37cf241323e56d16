-- Why: what infrastructure code declares was compared only by a command that somebody ran. Rules judge it now at
-- every scan, and a file that cannot be read one day must not make a resource "not declared": what it declared when
-- it was read last is remembered. It is read and replaced as one, so it is kept as one.

create table declared (
    account_id text not null default '000000000000' primary key,
    -- The run that read it.
    run_id bigint not null,
    read_at timestamptz not null default clock_timestamp(),
    -- JSON. Not jsonb: policy documents stand in it text for text.
    body text not null
);
