-- Why: an audit of an estate in which nothing changed must write no row for each finding, and a list
-- of findings must be read in its own order. A finding that fails now was last seen by the latest run
-- that judged, so only the others keep when that was.

alter table run
    -- When what the run decided became visible; null: it judged nothing.
    add column judged_at timestamptz;
create index run_judged on run (id desc) where judged_at is not null;

alter table finding
    -- Null: seen failing by the latest run that judged.
    alter column last_seen_at drop not null,
    alter column last_run drop not null;
update run r set judged_at = r.started_at where exists (select from rule_tally t where t.run_id = r.id);
update finding set last_seen_at = null, last_run = null where detection = 'active';
alter table finding add check (detection = 'active' or last_seen_at is not null),
    add check ((last_seen_at is null) = (last_run is null));

-- One index for each order of the list. What is listed under another finding is not in the list.
create index finding_by_severity on finding (severity_rank desc, number desc) where part_of is null;
create index finding_by_last_seen on finding (coalesce(last_seen_at, 'infinity'::timestamptz) desc, number desc)
    where part_of is null;
create index finding_by_opened on finding (opened_at desc, number desc) where part_of is null;
create index finding_listed_by_number on finding (number desc) where part_of is null;
-- What lists are narrowed by, each in the default order.
create index finding_by_rule on finding (rule, severity_rank desc, number desc);
create index finding_by_account on finding (account_id, severity_rank desc, number desc);
create index finding_by_namespace on finding (namespace, cluster) where namespace is not null;
create index finding_by_cluster on finding (cluster) where cluster is not null;
create index finding_by_service_account on finding (service_account) where service_account is not null;
create index finding_by_update on finding (updated_at);
-- What happened, and the latest run has seen.
create index finding_happened on finding (fingerprint) where happened_at is not null and last_seen_at is null;
