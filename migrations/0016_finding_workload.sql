-- Why: a finding on a role concerns every pod that reaches the role, and people ask by workload. One
-- cause is one finding: others about the same statement are listed under the gravest. A severity that
-- is not the rule's own says what it follows from, and a verdict names the assumptions it rests on.

alter table finding
    add column severity_because text,
    -- The fingerprint of the finding under which this one is listed; null: it is listed by itself.
    add column part_of text,
    add column assumptions jsonb not null default '[]',
    -- How many rows of `finding_workload` it has.
    add column workloads integer not null default 0;

create index finding_by_part_of on finding (part_of) where part_of is not null;

-- The associations whose pods reach the role that a finding is about. What a finding says of its own
-- place (an association's cluster, namespace, service account) stays in its own columns.
create table finding_workload (
    -- The finding's account and fingerprint.
    account_id text not null,
    fingerprint text not null,
    -- The association's key as text, as `resource.key` has it, and its parts.
    association text not null,
    cluster_account_id text not null,
    region text not null,
    cluster text not null,
    namespace text not null,
    service_account text not null,
    via text not null check (via in ('direct', 'target', 'chain')),
    primary key (account_id, fingerprint, association)
);

create index finding_workload_by_association on finding_workload (association);
create index finding_workload_by_namespace on finding_workload (namespace, cluster);
create index finding_workload_by_cluster on finding_workload (cluster);
create index finding_workload_by_service_account on finding_workload (service_account);
