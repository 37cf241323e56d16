-- Why: calls that change roles, policies, identity providers, associations, clusters, organizations and
-- trails were counted with all others and dropped, so nobody could say who made a change that two scans
-- differ by, nor that one was tried and refused. Each is kept as a row. Partitioned by month as sessions
-- are, so that retention drops a table and deletes no row.
create table change_event (
    account_id text not null,
    event_id text not null,
    region text not null,
    at timestamptz not null,
    event_source text not null,
    event_name text not null,
    -- Who called: as the record tells it, and the one ARN or service name by which it is known.
    actor jsonb not null,
    principal text,
    source_ip text,
    user_agent text,
    agent_class text not null,
    -- Null: the call succeeded.
    error_code text,
    error_message text,
    -- Whether the call was refused for want of permission.
    is_denied boolean not null,
    -- What the call names, each with its type.
    resources jsonb not null,
    -- By what these are the same as what a scan saw: names without paths, associations by id and by key.
    resource_keys text[] not null,
    resource_types text[] not null,
    -- What was asked for, within bounds and without secrets.
    request jsonb not null,
    is_request_cut boolean not null,
    primary key (account_id, event_id, region, at)
) partition by range (at);

create index change_event_by_time on change_event (at desc, account_id, event_id, region);
create index change_event_by_account on change_event (account_id, at desc);
create index change_event_by_resource on change_event using gin (resource_keys);
