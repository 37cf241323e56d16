-- Why: columns and one table kept words that stand neither in the glossary nor in AWS documentation
-- ("tied", "whole", "told"). Pages, API and export already say "attribution" and "complete range".
-- Nothing but names changes.

alter table session rename column tied_by to attribution_method;
alter table session rename column tie_why to attribution_reason;
alter table session rename column tie_depth to attribution_depth;
alter table session rename column tie_due to attribution_due;

alter table trail_whole rename to trail_complete_range;
alter table trail_complete_range rename column holds to event_scope;

alter table owed_judgement rename column told to unreported;

-- The counter up to which changed associations were compared with sessions.
update counter set name = 'attribution' where name = 'tie';
