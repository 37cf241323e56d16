-- Why: changes were shown, and nobody was told of one that should not have been made. Rules judge them now. A
-- change on which every rule passed is not judged again under the same rules, so that an audit does not
-- load all of history: which rules these were is kept with it. Where no call is known, it is kept whether the
-- trail would have shown one: nobody called, or nobody could see it.

alter table change
    -- The digest of the rules under which every rule passed; null: it is still to be judged.
    add column passed_under text,
    add column is_trail_complete boolean not null default false;

create index change_open_to_rules on change (detected_at) where passed_under is null;
