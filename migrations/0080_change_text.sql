-- Why: a change is read whole and parsed by the program. As jsonb PostgreSQL wrote its text anew for each reading, which
-- took most of the time of a list of changes.

drop index change_by_itself;
alter table change drop column caused_by;
alter table change alter column body type json using body::text::json;
alter table change add column caused_by text generated always as (body ->> 'caused_by') stored;
create index change_by_itself on change (detected_at desc, id desc) include (effect) where caused_by is null;
