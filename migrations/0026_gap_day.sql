-- A CloudTrail file that was not read whole may lack events of its day, and of no other: the gap that it
-- leaves says of which day it is, so that sessions of other days are judged.

-- Null: anything of the scope may be missing.
alter table coverage_gap add column day date;

-- Of what was noted before, nobody knows whether the file lies under that day.
alter table trail_damage add column lies_there boolean not null default false;
