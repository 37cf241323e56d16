-- Why: a list of findings looked up the workloads of each of its rows, and a list of associations every finding that
-- reaches each of its rows, resolved ones too, to count those that are open. Both are written far less often than they
-- are read, so a finding keeps the first of its workloads, and a workload of a finding whether that one counts.

-- The first ten rows of `finding_workload`, the nearest first, as `via association`; null where nothing was noted yet:
-- then they are looked up.
alter table finding add column first_workloads text[];

update finding f set first_workloads = array(
    select w.via || ' ' || w.association from finding_workload w
    where w.account_id = f.account_id and w.fingerprint = f.fingerprint
    order by array_position('{direct,target,chain}'::text[], w.via), w.association limit 10)
where f.workloads > 0 and f.workflow <> 'resolved';

-- The rank of the finding's severity while it is open or acknowledged and listed by itself; else null.
alter table finding_workload add column open_rank smallint;

update finding_workload w set open_rank = f.severity_rank
from finding f
where f.account_id = w.account_id and f.fingerprint = w.fingerprint
  and f.part_of is null and f.workflow in ('open', 'acknowledged');

create index finding_workload_open on finding_workload (association, open_rank) where open_rank is not null;

create function finding_open_rank(workflow text, part_of text, severity_rank smallint) returns smallint
language sql immutable as $$
    select case when part_of is null and workflow in ('open', 'acknowledged') then severity_rank end
$$;
