-- Why: a limit that each query has to remember is forgotten by one of them. Whoever may not see everything is served
-- over connections of another role, which may read nothing but what the policies here let it see: a table without a
-- policy, and a table that is added later, is closed to it. It writes nothing: what it may change is found with its
-- eyes first, and changed by the owner. The owner's own connections know no policies, and their plans are as before.
--
-- What a connection of that role may see stands in its settings, set each time that it is taken:
--   rolecall.accounts     ids of accounts
--   rolecall.units        ids of OUs and roots
--   rolecall.clusters     account/region/name
--   rolecall.namespaces   account/region/cluster/namespace, or a namespace of every cluster
-- Each is an array as text; without them nothing is seen.

do $$
begin
    -- The role is of the whole server: another database of it may have made it, or may be about to.
    for attempt in 1..5 loop
        begin
            if not exists (select from pg_roles where rolname = 'rolecall_limited') then
                create role rolecall_limited nologin;
            end if;
            if not pg_has_role(current_user, 'rolecall_limited', 'member') then
                execute format('grant rolecall_limited to %I', current_user);
            end if;
            exit;
        exception
            when insufficient_privilege then
                raise exception 'the database user % may not make the role that people and tokens with limits read by: '
                    'have an administrator of the server run: create role rolecall_limited nologin; '
                    'grant rolecall_limited to %', current_user, quote_ident(current_user);
            -- Another database did the same at the same time.
            when duplicate_object or unique_violation or internal_error then
                if attempt = 5 then raise; end if;
        end;
    end loop;
    execute format('grant usage on schema %I to rolecall_limited', current_schema());
end $$;

-- What a connection may see, worked out with the owner's eyes. In the policies these are read once a statement.

create view limited_account as
    select unnest(nullif(current_setting('rolecall.accounts', true), '')::text[]) as account_id
    union
    select a.account_id
    from resource u
    join resource m on m.account_id = u.account_id and m.kind = 'account' and m.seen_to is null
    join resource a on a.kind = 'account' and a.seen_to is null
        -- Another organization has its own `/workloads`.
        and a.body ->> 'organization_id' is not distinct from m.body ->> 'organization_id'
        and (a.body ->> 'ou_path' = u.body ->> 'path'
             or starts_with(a.body ->> 'ou_path', rtrim(u.body ->> 'path', '/') || '/'))
    where u.kind = 'org_unit' and u.seen_to is null
      and u.key in (select unnest(nullif(current_setting('rolecall.units', true), '')::text[]));

-- Versions of associations.
create view limited_association as
    select a.account_id, a.key, a.seen_from, a.seen_to, a.role_arn, a.target_role_arn,
           a.body ->> 'association_id' as association_id, a.body #>> '{detail,policy}' as document
    from resource a
    where a.kind = 'association'
      and (a.namespace = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
           or a.account_id || '/' || a.region || '/' || a.cluster || '/' || a.namespace
              = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
           or a.account_id || '/' || a.region || '/' || a.cluster
              = any (array(select unnest(nullif(current_setting('rolecall.clusters', true), '')::text[])))
           or a.account_id in (select account_id from limited_account));

-- Versions of the roles of those associations, while they named them.
create view limited_role as
    select r.account_id, r.key, r.seen_from, r.seen_to, r.body
    from (select role_arn as arn, seen_from, seen_to from limited_association where role_arn is not null
          union
          select target_role_arn, seen_from, seen_to from limited_association where target_role_arn is not null) n
    join resource r on r.account_id = split_part(n.arn, ':', 5) and r.kind = 'role' and r.key = n.arn
        and r.seen_from < coalesce(n.seen_to, 9223372036854775807)
        and n.seen_from < coalesce(r.seen_to, 9223372036854775807);

-- Versions of the managed policies of those roles, while they had them.
create view limited_policy as
    select p.account_id, p.key, p.seen_from, p.body
    from limited_role r
    cross join lateral (
        select e ->> 'arn' as arn from jsonb_array_elements(r.body -> 'attached') as e
        union
        select r.body ->> 'boundary') n
    join resource p on p.account_id = r.account_id and p.kind = 'policy' and p.key = n.arn
        and p.seen_from < coalesce(r.seen_to, 9223372036854775807)
        and r.seen_from < coalesce(p.seen_to, 9223372036854775807);

create view limited_document as
    select decode(d.digest, 'hex') as digest
    from (select body ->> 'trust' as digest from limited_role
          union
          select e ->> 'document' from limited_role, jsonb_array_elements(body -> 'inline') as e
          union
          select body ->> 'document' from limited_policy
          union
          select document from limited_association) d
    where d.digest is not null;

-- The workloads that reach findings, of those that are seen.
create view limited_finding_workload as
    select w.account_id, w.fingerprint, w.association
    from finding_workload w
    where w.namespace = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
       or w.cluster_account_id || '/' || w.region || '/' || w.cluster || '/' || w.namespace
          = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
       or w.cluster_account_id || '/' || w.region || '/' || w.cluster
          = any (array(select unnest(nullif(current_setting('rolecall.clusters', true), '')::text[])))
       or w.cluster_account_id in (select account_id from limited_account);

-- The clusters and accounts of what is seen: how far these are known is told, so that what is not there is not taken for
-- what was not looked at.
create view limited_cluster as
    select distinct account_id || '/' || split_part(key, '/', 2) || '/' || split_part(key, '/', 3) as place
    from limited_association where seen_to is null
    union
    select unnest(nullif(current_setting('rolecall.clusters', true), '')::text[]);

create view limited_coverage_account as
    select account_id from limited_account
    union
    select split_part(place, '/', 1) from limited_cluster
    union
    select account_id from limited_role where seen_to is null;

-- A change without the workloads that are not seen. Its effect over all of them stays what it is.
create function limited_change_body(body jsonb) returns jsonb stable language sql as $$
    select jsonb_set(body, '{affected}', coalesce((
        select jsonb_agg(e order by n) from jsonb_array_elements(body -> 'affected') with ordinality as it (e, n)
        where concat_ws('/', e #>> '{workload,account_id}', e #>> '{workload,region}', e #>> '{workload,cluster}',
                        e #>> '{workload,namespace}', e #>> '{workload,service_account}')
              in (select key from limited_association)), '[]'))
$$;

-- What a finding says, without the places of workloads that reach it and are not seen. With the owner's eyes, who knows
-- them; of others it tells nothing.
create function limited_text(account text, finding text, said text) returns text
    stable language plpgsql security definer as $$
declare
    name text;
begin
    for name in
        select n.name
        from finding_workload w
        cross join lateral (values
            (w.association),
            (w.cluster || '/' || w.namespace || '/' || w.service_account),
            (w.cluster || '/' || w.namespace),
            (w.namespace || '/' || w.service_account)) n (name)
        where w.account_id = account and w.fingerprint = finding
          and not exists (select from limited_finding_workload s
                          where s.account_id = account and s.fingerprint = finding and s.association = w.association)
          -- Such as a namespace that two workloads are in, one of them seen.
          and not exists (select from limited_finding_workload s
                          where s.account_id = account and s.fingerprint = finding
                            and position(n.name || '/' in s.association || '/') > 0)
        group by n.name order by length(n.name) desc, n.name
    loop
        said := replace(said, name, '(not shown)');
    end loop;
    return said;
end $$;

-- The same of what decided it, without the associations among that which are not seen.
create function limited_evidence(account text, finding text, evidence jsonb) returns jsonb stable language sql as $$
    select limited_text(account, finding, coalesce((
        select jsonb_agg(e order by n) from jsonb_array_elements(evidence) with ordinality as it (e, n)
        where not (e ->> 'source' like 'association %'
                   and substr(e ->> 'source', 13) not in (select key from limited_association))), '[]')::text)::jsonb
$$;

-- A step without the workloads that came or went by it.
create function limited_detail(account text, finding text, detail jsonb) returns jsonb stable language sql as $$
    select limited_text(account, finding, (detail - 'workloads')::text)::jsonb
$$;

grant select on limited_account, limited_association, limited_role, limited_policy, limited_document,
    limited_finding_workload, limited_cluster, limited_coverage_account to rolecall_limited;

-- The policies.

alter table resource enable row level security;
create policy limited on resource for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or kind = 'association' and key in (select key from limited_association)
    or kind = 'cluster'
       and account_id || '/' || key = any (array(select unnest(nullif(current_setting('rolecall.clusters', true), '')::text[])))
    or kind = 'role' and (key, seen_from) in (select key, seen_from from limited_role)
    or kind = 'policy' and (account_id, key, seen_from) in (select account_id, key, seen_from from limited_policy));

alter table document enable row level security;
create policy limited on document for select to rolecall_limited using (
    account_id in (select account_id from limited_account) or digest in (select digest from limited_document));

alter table role_last_used enable row level security;
create policy limited on role_last_used for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or role_arn in (select key from limited_role where seen_to is null));

-- A session is of the workload that it is attributed to.
alter table session enable row level security;
create policy limited on session for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or namespace = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
    or coalesce(association_account_id, account_id) || '/' || coalesce(association_region, region)
       || '/' || cluster || '/' || namespace
       = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
    or coalesce(association_account_id, account_id) || '/' || coalesce(association_region, region) || '/' || cluster
       = any (array(select unnest(nullif(current_setting('rolecall.clusters', true), '')::text[]))));

alter table coverage enable row level security;
create policy limited on coverage for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or account_id in (select account_id from limited_coverage_account)
       and (cluster = '' or account_id || '/' || region || '/' || cluster in (select place from limited_cluster)));

alter table coverage_gap enable row level security;
create policy limited on coverage_gap for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or account_id in (select account_id from limited_coverage_account)
       and (cluster = '' or account_id || '/' || region || '/' || cluster in (select place from limited_cluster)));

alter table coverage_state enable row level security;
create policy limited on coverage_state for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or account_id in (select account_id from limited_coverage_account)
       and (cluster = '' or account_id || '/' || region || '/' || cluster in (select place from limited_cluster)));

alter table finding enable row level security;
create policy limited on finding for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or namespace = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
    or account_id || '/' || region || '/' || cluster || '/' || namespace
       = any (array(select unnest(nullif(current_setting('rolecall.namespaces', true), '')::text[])))
    or account_id || '/' || region || '/' || cluster
       = any (array(select unnest(nullif(current_setting('rolecall.clusters', true), '')::text[])))
    or (account_id, fingerprint) in (select account_id, fingerprint from limited_finding_workload));

alter table finding_workload enable row level security;
create policy limited on finding_workload for select to rolecall_limited using (
    (account_id, fingerprint, association) in (
        select account_id, fingerprint, association from limited_finding_workload));

-- What belongs to a finding or a change is seen with it: the policies of these hold inside.

alter table finding_event enable row level security;
create policy limited on finding_event for select to rolecall_limited using (
    exists (select from finding f where f.account_id = finding_event.account_id
            and f.fingerprint = finding_event.fingerprint));

alter table suppression enable row level security;
create policy limited on suppression for select to rolecall_limited using (
    exists (select from finding f where f.account_id = suppression.account_id
            and f.fingerprint = suppression.fingerprint));

alter table finding_ticket enable row level security;
create policy limited on finding_ticket for select to rolecall_limited using (
    exists (select from finding f where f.account_id = finding_ticket.account_id
            and f.fingerprint = finding_ticket.fingerprint));

alter table change enable row level security;
create policy limited on change for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or affected && (select array_agg(distinct key) from limited_association)
    or resource_type = 'association' and resource in (select key from limited_association));

alter table approval enable row level security;
create policy limited on approval for select to rolecall_limited using (
    exists (select from change c where c.account_id = approval.account_id and c.id = approval.change_id));

alter view change_approval set (security_invoker = true);

alter table event enable row level security;
create policy limited on event for select to rolecall_limited using (
    kind like 'change.%'
    and exists (select from change c where c.account_id = event.account_id and c.id = event.subject));

-- How far the trails of an account were read, without what they hold.

alter table trail_day enable row level security;
create policy limited on trail_day for select to rolecall_limited using (
    account_id in (select account_id from limited_coverage_account));

alter table trail_complete_range enable row level security;
create policy limited on trail_complete_range for select to rolecall_limited using (
    account_id in (select account_id from limited_coverage_account));

-- Whole accounts.

alter table rule_tally enable row level security;
create policy limited on rule_tally for select to rolecall_limited using (
    account_id in (select account_id from limited_account));

alter table account_date enable row level security;
create policy limited on account_date for select to rolecall_limited using (
    account_id in (select account_id from limited_account));

alter table baseline enable row level security;
create policy limited on baseline for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or resource_type = 'association' and resource in (select key from limited_association)
    or resource_type = 'role' and resource in (select key from limited_role where seen_to is null));

alter table change_event enable row level security;
create policy limited on change_event for select to rolecall_limited using (
    account_id in (select account_id from limited_account));

grant select on resource, document, role_last_used, session, coverage, coverage_gap, coverage_state, finding,
    finding_workload, finding_event, suppression, finding_ticket, change, approval, change_approval, event, rule_tally,
    account_date, baseline, change_event, trail_day, trail_complete_range to rolecall_limited;

-- When scans were, and how far numbers have come, is of no account; what a scan reports is not told.
grant select (account_id, id, kind, state, started_at, finished_at, snapshot_at, judged_at) on run
    to rolecall_limited;
grant select on counter to rolecall_limited;
