-- Why: a list of findings counts what is listed under each of its rows, and read the resolved ones for it; a list of
-- those with a ticket stepped over all that have none; trends, and the open findings of each owner, read every finding
-- whole.

create index finding_open_part on finding (part_of) where part_of is not null and workflow <> 'resolved';

create index finding_ticketed on finding (severity_rank desc, number desc) where had_ticket and part_of is null;

-- What the steps of findings are counted by.
create index finding_listed on finding (account_id, fingerprint) include (severity_rank, opened_at)
    where part_of is null;

drop index finding_not_resolved;
create index finding_not_resolved on finding (severity_rank desc, number desc)
    include (rule, account_id, workflow, detection, owner, owned) where workflow <> 'resolved' and part_of is null;

-- Accounts give their clusters the same names.
drop index finding_workload_by_cluster;
create index finding_workload_by_cluster on finding_workload (cluster, cluster_account_id, region);
drop index finding_by_cluster;
create index finding_by_cluster on finding (cluster, account_id, region) where cluster is not null;

-- What exceptions of files hold.
create index finding_excepted on finding ((exception ->> 'name')) where workflow = 'suppressed' and exception is not null;

-- Which of the findings that a workload reaches are open.
create index finding_unresolved on finding (account_id, fingerprint) include (severity_rank, workflow)
    where workflow <> 'resolved' and part_of is null;

-- Moves with each change of a row: what was worked out of all rows is true as long as the sum of these stands.
alter table finding_step_count add column version bigint not null default 0;
