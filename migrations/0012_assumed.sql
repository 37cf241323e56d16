-- Why: a verdict may rest on what a person states and nobody provided. What a run was judged under is
-- kept with it, so that questions put to the estate later are answered as its rules were.
alter table run add column assumed jsonb not null default '[]';
-- So many of the answers that pass, fail or do not concern their subject rest on an assumption.
alter table rule_tally add column assumed bigint not null default 0;
