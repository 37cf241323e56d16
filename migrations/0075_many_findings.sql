-- Why: with 1,000,000 findings, a tenth of them open, a list of what is open stepped over what is resolved, the overview
-- read all of it, and a list of changes sorted whole scans. What is not resolved has indexes of its own, and what a
-- change follows from is a column, so that a list need not unpack the change.

-- In the default order, with what the overview counts.
create index finding_not_resolved on finding (severity_rank desc, number desc)
    include (rule, account_id, workflow, detection) where workflow <> 'resolved' and part_of is null;
create index finding_not_resolved_by_namespace on finding (namespace, severity_rank desc, number desc)
    where workflow <> 'resolved' and namespace is not null;
create index finding_not_resolved_by_account on finding (account_id, severity_rank desc, number desc)
    where workflow <> 'resolved' and part_of is null;
create index finding_not_resolved_by_rule on finding (rule, severity_rank desc, number desc)
    where workflow <> 'resolved' and part_of is null;

alter table change add column caused_by text generated always as (body ->> 'caused_by') stored;
drop index change_by_time;
create index change_by_time on change (detected_at desc, id desc);
-- Those that follow from no other, as the overview counts them and the page lists them.
create index change_by_itself on change (detected_at desc, id desc) include (effect) where caused_by is null;

-- What rules came to in the latest run.
create index rule_tally_by_run on rule_tally (run_id) include (pass, fail, unknown, error);

-- Whether it ever had a ticket, a suppression, a finding listed under it: only then a list looks for them. Most findings
-- never have any, and to look for three rows that are not there took half of what a list costs.
alter table finding
    add column had_ticket boolean not null default false,
    add column had_suppression boolean not null default false,
    add column had_part boolean not null default false;

update finding f set had_ticket = true
    where exists (select from finding_ticket t where t.account_id = f.account_id and t.fingerprint = f.fingerprint);
update finding f set had_suppression = true
    where exists (select from suppression s where s.account_id = f.account_id and s.fingerprint = f.fingerprint);
update finding f set had_part = true where exists (select from finding p where p.part_of = f.fingerprint);
