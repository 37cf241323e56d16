-- Why: sentences that are worked out over the whole estate name roles, workloads and clusters. Whoever sees a part of
-- it read the names of others in the reasons of a change, in what was gained and lost by it, in privilege-escalation
-- paths and in why a finding is undetermined. Also one function reads the settings of 0054 in place of eight texts.

-- From PostgreSQL 16 on whoever creates a role administers it, and cannot become it without a grant of their own.
do $$
begin
    if not pg_has_role(current_user, 'rolecall_limited',
                       case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
        execute format('grant rolecall_limited to %I', current_user);
    end if;
exception
    when insufficient_privilege then
        raise exception 'the database user % may not become the role that people and tokens with limits read by: '
            'have an administrator of the server run: grant rolecall_limited to %', current_user,
            quote_ident(current_user);
end $$;

-- What a setting of the connection lists: `accounts`, `units`, `clusters` or `namespaces`. Written into the statement
-- that names it, so that it costs what its text costs.
create function limited_list(setting text) returns text[] stable parallel safe language sql as $$
    select nullif(current_setting('rolecall.' || setting, true), '')::text[]
$$;

create or replace view limited_account as
    select unnest(limited_list('accounts')) as account_id
    union
    select a.account_id
    from resource u
    join resource m on m.account_id = u.account_id and m.kind = 'account' and m.seen_to is null
    join resource a on a.kind = 'account' and a.seen_to is null
        -- Another organization has its own `/workloads`.
        and a.body ->> 'organization_id' is not distinct from m.body ->> 'organization_id'
        and (a.body ->> 'ou_path' = u.body ->> 'path'
             or starts_with(a.body ->> 'ou_path', rtrim(u.body ->> 'path', '/') || '/'))
    where u.kind = 'org_unit' and u.seen_to is null and u.key = any ((select limited_list('units'))::text[]);

create or replace view limited_association as
    select a.account_id, a.key, a.seen_from, a.seen_to, a.role_arn, a.target_role_arn,
           a.body ->> 'association_id' as association_id, a.body #>> '{detail,policy}' as document
    from resource a
    where a.kind = 'association'
      and (a.namespace = any ((select limited_list('namespaces'))::text[])
           or a.account_id || '/' || a.region || '/' || a.cluster || '/' || a.namespace
              = any ((select limited_list('namespaces'))::text[])
           or a.account_id || '/' || a.region || '/' || a.cluster = any ((select limited_list('clusters'))::text[])
           or a.account_id in (select account_id from limited_account));

create or replace view limited_finding_workload as
    select w.account_id, w.fingerprint, w.association
    from finding_workload w
    where w.namespace = any ((select limited_list('namespaces'))::text[])
       or w.cluster_account_id || '/' || w.region || '/' || w.cluster || '/' || w.namespace
          = any ((select limited_list('namespaces'))::text[])
       or w.cluster_account_id || '/' || w.region || '/' || w.cluster = any ((select limited_list('clusters'))::text[])
       or w.cluster_account_id in (select account_id from limited_account);

create or replace view limited_cluster as
    select distinct account_id || '/' || split_part(key, '/', 2) || '/' || split_part(key, '/', 3) as place
    from limited_association where seen_to is null
    union
    select unnest(limited_list('clusters'));

alter policy limited on resource using (
    account_id in (select account_id from limited_account)
    or kind = 'association' and key in (select key from limited_association)
    or kind = 'cluster' and account_id || '/' || key = any ((select limited_list('clusters'))::text[])
    or kind = 'role' and (key, seen_from) in (select key, seen_from from limited_role)
    or kind = 'policy' and (account_id, key, seen_from) in (select account_id, key, seen_from from limited_policy));

alter policy limited on session using (
    account_id in (select account_id from limited_account)
    or namespace = any ((select limited_list('namespaces'))::text[])
    or coalesce(association_account_id, account_id) || '/' || coalesce(association_region, region)
       || '/' || cluster || '/' || namespace = any ((select limited_list('namespaces'))::text[])
    or coalesce(association_account_id, account_id) || '/' || coalesce(association_region, region) || '/' || cluster
       = any ((select limited_list('clusters'))::text[]));

alter policy limited on finding using (
    account_id in (select account_id from limited_account)
    or namespace = any ((select limited_list('namespaces'))::text[])
    or account_id || '/' || region || '/' || cluster || '/' || namespace
       = any ((select limited_list('namespaces'))::text[])
    or account_id || '/' || region || '/' || cluster = any ((select limited_list('clusters'))::text[])
    or (account_id, fingerprint) in (select account_id, fingerprint from limited_finding_workload));

-- A sentence without the names of roles, associations and clusters of the estate that are not seen. `own` are names
-- that are seen whatever they name: what the sentence is about. With the owner's eyes, who knows them; of what is not
-- in the estate, such as a principal outside of it that a policy names, nothing is taken away.
create function limited_words(said text, own text[]) returns text
    stable strict language plpgsql security definer as $$
declare
    hidden text;
    kind text;
    accounts text[];
begin
    if said !~ 'arn:aws|[0-9]{12}/' then
        return said;
    end if;
    for hidden, kind in
        select n.name, n.kind
        from (
            -- A sentence may go on after a name with a full stop or a comma, which a role's name may hold too.
            select unnest(array[m[1], rtrim(m[1], '.,')]) as name, 'role' as kind
            from regexp_matches(said, '(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+)', 'g') m
            union
            select unnest(array[m[1], rtrim(m[1], '.')]), 'association'
            from regexp_matches(said, '([0-9]{12}/[a-z0-9-]+/[A-Za-z0-9_-]+/[a-z0-9.-]+/[a-z0-9.-]+)', 'g') m
            union
            select m[1], 'cluster'
            from regexp_matches(said, '([0-9]{12}/[a-z]+-[a-z0-9-]+/[A-Za-z0-9_-]+)', 'g') m) n
        where n.name <> all (own)
        order by length(n.name) desc, n.name
    loop
        accounts := coalesce(accounts, array(select account_id from limited_account));
        case kind
            when 'role' then
                continue when split_part(hidden, ':', 5) = any (accounts)
                    or exists (select from limited_role r where r.key = hidden)
                    or not exists (select from resource r where r.account_id = split_part(hidden, ':', 5)
                                   and r.kind = 'role' and r.key = hidden);
            when 'association' then
                continue when exists (select from limited_association a where a.key = hidden)
                    or not exists (select from resource r where r.kind = 'association' and r.key = hidden);
            else
                continue when split_part(hidden, '/', 1) = any (accounts)
                    or exists (select from limited_cluster c where c.place = hidden)
                    or not exists (select from resource r where r.account_id = split_part(hidden, '/', 1)
                                   and r.kind = 'cluster' and r.key = substr(hidden, 14));
        end case;
        said := regexp_replace(said, regexp_replace(hidden, '([.+])', '\\\1', 'g') || '(?![A-Za-z0-9_+=@/-])',
                               '(not shown)', 'g');
    end loop;
    return said;
end $$;

-- What a finding says: as before without the places of workloads that reach it, and now without other names either.
create or replace function limited_text(account text, finding text, said text) returns text
    stable strict language plpgsql security definer as $$
declare
    name text;
    own text[];
    seen text[];
    reaching int;
begin
    select array_remove(array[f.subject_key, f.role_arn, f.target_role_arn], null), f.workloads into own, reaching
    from finding f where f.account_id = account and f.fingerprint = finding;
    if reaching > 0 then
        seen := array(select s.association from limited_finding_workload s
                      where s.account_id = account and s.fingerprint = finding);
    end if;
    -- Most findings have no workload that is not seen.
    if reaching > cardinality(seen) then
        for name in
            select n.name
            from finding_workload w
            cross join lateral (values
                (w.association),
                (w.cluster || '/' || w.namespace || '/' || w.service_account),
                (w.cluster || '/' || w.namespace),
                (w.namespace || '/' || w.service_account)) n (name)
            where w.account_id = account and w.fingerprint = finding and w.association <> all (seen)
              -- Such as a namespace that two workloads are in, one of them seen.
              and not exists (select from unnest(seen) s (association)
                              where position(n.name || '/' in s.association || '/') > 0)
            group by n.name order by length(n.name) desc, n.name
        loop
            said := replace(said, name, '(not shown)');
        end loop;
    end if;
    if said ~ 'arn:aws|[0-9]{12}/' then
        said := limited_words(said, coalesce(own, '{}'));
    end if;
    return said;
end $$;

-- Why something is not known, without places that are not seen.
create function limited_reasons(reasons jsonb) returns jsonb
    stable language plpgsql security definer as $$
declare
    reason jsonb;
    shown jsonb := '[]';
    scope jsonb;
    said text;
    account text;
begin
    for reason in select value from jsonb_array_elements(reasons) loop
        scope := reason -> 'scope';
        said := limited_words(reason ->> 'text', '{}');
        if scope ->> 'account_id' is not null
           and scope ->> 'account_id' not in (select account_id from limited_account)
           and not (scope ->> 'account_id' in (select account_id from limited_coverage_account)
                    and (scope ->> 'cluster' is null
                         or concat_ws('/', scope ->> 'account_id', scope ->> 'region', scope ->> 'cluster')
                            in (select place from limited_cluster))) then
            if scope ->> 'cluster' is not null then
                said := replace(said, scope ->> 'cluster', '(not shown)');
            end if;
            -- Without what it is about it is a reason of no kind.
            reason := jsonb_build_object('kind', 'other');
        end if;
        for account in
            select distinct m[1] from regexp_matches(said, '\m([0-9]{12})\M', 'g') m
            where exists (select from resource r where r.account_id = m[1] and r.kind = 'account' and r.key = m[1])
              and m[1] not in (select account_id from limited_coverage_account)
        loop
            said := replace(said, account, '(not shown)');
        end loop;
        shown := shown || (reason || jsonb_build_object('text', said));
    end loop;
    return shown;
end $$;

-- The privilege-escalation paths of roles that are seen.
create function limited_escalations(escalations jsonb, own text[]) returns jsonb stable language sql as $$
    select escalations || coalesce((
        select jsonb_object_agg(l.name, (
            select coalesce(jsonb_agg(e order by n), '[]')
            from jsonb_array_elements(escalations -> l.name) with ordinality as it (e, n)
            where e ->> 'role' = any (own)
               or split_part(e ->> 'role', ':', 5) in (select account_id from limited_account)
               or exists (select from limited_role r where r.key = e ->> 'role')))
        from unnest('{opens,closes}'::text[]) l (name)
        where jsonb_typeof(escalations -> l.name) = 'array'), '{}')
$$;

-- A change without the workloads that are not seen, and without names in its sentences. Its effect over all of them stays
-- what it is. What is gained and lost is told of one workload: where that one may be hidden, of one that is seen.
create or replace function limited_change_body(body jsonb) returns jsonb
    stable language plpgsql security definer as $$
declare
    own text[] := array_remove(array[body #>> '{resource,name}', body ->> 'part'], null);
    -- What changed is told as it is, like documents.
    plain text[] := '{id,resource,account_id,part,before,after,aliases,trusted,caused_by}';
    shown jsonb := body - plain;
    seen jsonb;
begin
    select coalesce(jsonb_agg(case when e -> 'escalations' is null then e
                                   else e || jsonb_build_object('escalations', limited_escalations(e -> 'escalations', own))
                              end order by n), '[]')
    into seen
    from jsonb_array_elements(body -> 'affected') with ordinality as it (e, n)
    where concat_ws('/', e #>> '{workload,account_id}', e #>> '{workload,region}', e #>> '{workload,cluster}',
                    e #>> '{workload,namespace}', e #>> '{workload,service_account}')
          in (select key from limited_association);
    if jsonb_array_length(seen) < jsonb_array_length(body -> 'affected')
       and body ->> 'account_id' not in (select account_id from limited_account) then
        shown := shown || jsonb_build_object(
            'gained', (select e -> 'gained' from jsonb_array_elements(seen) e
                       where jsonb_typeof(e -> 'gained') = 'object' limit 1),
            'lost', (select e -> 'lost' from jsonb_array_elements(seen) e
                     where jsonb_typeof(e -> 'lost') = 'object' limit 1));
    end if;
    shown := shown || jsonb_build_object('affected', seen);
    if body -> 'escalations' is not null then
        shown := shown || jsonb_build_object('escalations', limited_escalations(body -> 'escalations', own));
    end if;
    return limited_words(shown::text, own)::jsonb
        || (select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(body) where key = any (plain));
end $$;

-- How a resource stands against its approved state.
create function limited_compared(compared jsonb, resource text) returns jsonb stable language sql as $$
    select limited_words((compared - 'differences')::text, array[resource])::jsonb
        || case when jsonb_typeof(compared -> 'differences') = 'array' then jsonb_build_object('differences', coalesce((
               select jsonb_agg(limited_change_body(e) order by n)
               from jsonb_array_elements(compared -> 'differences') with ordinality as it (e, n)), '[]'))
           else '{}' end
$$;

-- What reads with the owner's eyes looks for its tables where they are, whatever the connection's search path says.
do $$
declare
    reads text;
begin
    foreach reads in array '{"limited_words(text, text[])", "limited_text(text, text, text)", "limited_reasons(jsonb)",
                             "limited_change_body(jsonb)"}'::text[]
    loop
        execute format('alter function %s set search_path = %I, pg_temp', reads, current_schema());
    end loop;
end $$;
