-- Why: pods that do not get their own credentials work with the role of their node. What instances did
-- must be known by region and apart from what others did with the same role, and all of it is little:
-- roles of nodes times the actions that they take. Sessions are judged by the VPC endpoint that they
-- were asked for through, too.
create table instance_use (
    account_id text not null,
    region text not null,
    role_arn text not null,
    action text not null,
    calls bigint not null,
    denied bigint not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    networks smallint not null,
    primary key (account_id, region, role_arn, action)
);

alter table session
    add column vpc_endpoint text,
    add column vpc_endpoint_account text;

-- In the order in which they are taken: of many that are due only the first are read.
drop index session_due;
create index session_due on session (at, account_id, event_id) where tie_due;
-- What a changed association may concern, without reading every session's tags.
create index session_by_service_account on session (service_account, namespace, cluster)
    where service_account is not null;
create index association_by_id on resource ((body ->> 'association_id')) where kind = 'association';
