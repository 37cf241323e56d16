-- Why: a finding lives on from audit to audit. The scanner owns `detection`, people own
-- `workflow`; each step is an event in one total order, which a ticketing bot can follow.

create table finding (
    account_id text not null,
    fingerprint text not null,
    -- For people: unique in the installation, as it is drawn from one counter.
    number bigint not null,
    rule text not null,
    severity text not null,
    -- 4 critical … 0 info: what `severity` sorts by.
    severity_rank smallint not null,
    subject_kind text not null,
    subject_key text not null,
    region text,
    cluster text,
    namespace text,
    service_account text,
    role_arn text,
    target_role_arn text,
    detection text not null check (detection in ('active', 'stale', 'cleared')),
    workflow text not null check (workflow in ('open', 'acknowledged', 'suppressed', 'resolved')),
    resolution text,
    message text not null,
    evidence jsonb not null,
    evidence_digest bytea not null check (octet_length(evidence_digest) = 32),
    params jsonb not null,
    exception jsonb,
    stale_why jsonb not null default '[]',
    first_seen_at timestamptz not null,
    opened_at timestamptz not null,
    last_seen_at timestamptz not null,
    resolved_at timestamptz,
    updated_at timestamptz not null,
    reopened_count integer not null default 0,
    first_run bigint not null,
    last_run bigint not null,
    version bigint not null,
    change_seq bigint not null,
    primary key (account_id, fingerprint),
    check ((workflow = 'resolved') = (resolved_at is not null)),
    check ((workflow = 'resolved') = (detection = 'cleared'))
);

create unique index finding_number on finding (account_id, number);
create index finding_by_number on finding (number);
create index finding_by_fingerprint on finding (fingerprint);
create index finding_by_role on finding (role_arn) where role_arn is not null;
create index finding_by_target on finding (target_role_arn) where target_role_arn is not null;
create index finding_by_subject on finding (account_id, subject_kind, subject_key);

create table finding_event (
    account_id text not null,
    change_seq bigint not null,
    fingerprint text not null,
    run_id bigint,
    at timestamptz not null,
    kind text not null,
    -- `scanner`, or who did it.
    actor text not null,
    -- What the step changed, with the values before and after.
    detail jsonb not null,
    primary key (account_id, change_seq)
);

create index finding_event_by_finding on finding_event (account_id, fingerprint, change_seq);
create index finding_event_by_run on finding_event (run_id);
create index finding_event_by_time on finding_event (at);

create table rule_tally (
    account_id text not null,
    run_id bigint not null,
    rule text not null,
    pass bigint not null,
    fail bigint not null,
    not_applicable bigint not null,
    unknown bigint not null,
    error bigint not null,
    reasons jsonb not null,
    primary key (account_id, run_id, rule)
);
