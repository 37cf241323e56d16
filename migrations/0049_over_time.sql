-- Why: a list as of a time that has passed read every version of each resource from the table to see which one was
-- there then, and counting one read the whole table. The interval of a version is in the index from now on, so that
-- both are answered by it alone.

create index resource_over_time on resource (kind, key, seen_from) include (seen_to, account_id);
drop index resource_by_kind;

create index association_of_role_over_time on resource (role_arn) include (seen_from, seen_to)
    where kind = 'association' and role_arn is not null;
drop index association_by_role;
create index association_of_target_over_time on resource (target_role_arn) include (seen_from, seen_to, role_arn)
    where kind = 'association' and target_role_arn is not null;
drop index association_by_target;
