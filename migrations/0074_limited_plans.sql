-- Why: over 1,000,000 findings whoever sees a part waited for minutes. A finding was looked for among all visible
-- workloads, which were read anew in each statement and gone through row by row once they did not fit into working
-- memory. Each row now says by its own columns whether it is seen, or is asked for by a key; the accounts of OUs are
-- found when a connection is given out, and not in every policy.

-- The accounts of OUs and of the OUs below them, of their organization alone. With the owner's eyes; it is asked when the
-- settings of a connection are set.
create function limited_unit_accounts(units text[]) returns text[] stable language sql security definer as $$
    select coalesce(array_agg(distinct a.account_id), '{}')
    from resource u
    join resource m on m.account_id = u.account_id and m.kind = 'account' and m.seen_to is null
    join resource a on a.kind = 'account' and a.seen_to is null
        -- Another organization has its own `/workloads`.
        and a.body ->> 'organization_id' is not distinct from m.body ->> 'organization_id'
        and (a.body ->> 'ou_path' = u.body ->> 'path'
             or starts_with(a.body ->> 'ou_path', rtrim(u.body ->> 'path', '/') || '/'))
    where u.kind = 'org_unit' and u.seen_to is null and u.key = any (units)
$$;

do $$
begin
    execute format('alter function limited_unit_accounts(text[]) set search_path = %I, pg_temp', current_schema());
end $$;

-- `rolecall.accounts` holds those of `rolecall.units` too.
create or replace view limited_account as
    select unnest(limited_list('accounts')) as account_id;

alter policy limited on finding_workload using (
    namespace = any ((select limited_list('namespaces'))::text[])
    or cluster_account_id || '/' || region || '/' || cluster || '/' || namespace
       = any ((select limited_list('namespaces'))::text[])
    or cluster_account_id || '/' || region || '/' || cluster = any ((select limited_list('clusters'))::text[])
    or cluster_account_id in (select account_id from limited_account));

-- The policy of the workloads holds inside.
alter policy limited on finding using (
    account_id in (select account_id from limited_account)
    or namespace = any ((select limited_list('namespaces'))::text[])
    or account_id || '/' || region || '/' || cluster || '/' || namespace
       = any ((select limited_list('namespaces'))::text[])
    or account_id || '/' || region || '/' || cluster = any ((select limited_list('clusters'))::text[])
    or workloads > 0 and exists (
        select from finding_workload w
        where w.account_id = finding.account_id and w.fingerprint = finding.fingerprint));

alter policy limited on resource using (
    account_id in (select account_id from limited_account)
    or kind = 'association'
       and (namespace = any ((select limited_list('namespaces'))::text[])
            or account_id || '/' || region || '/' || cluster || '/' || namespace
               = any ((select limited_list('namespaces'))::text[])
            or account_id || '/' || region || '/' || cluster = any ((select limited_list('clusters'))::text[]))
    or kind = 'cluster' and account_id || '/' || key = any ((select limited_list('clusters'))::text[])
    or kind = 'role' and exists (
        select from limited_role r where r.key = resource.key and r.seen_from = resource.seen_from)
    or kind = 'policy' and exists (
        select from limited_policy p
        where p.account_id = resource.account_id and p.key = resource.key and p.seen_from = resource.seen_from));
