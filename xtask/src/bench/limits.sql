-- An estate of FINDINGS findings, a tenth of them open: 1,000 accounts in 10 OUs with 100 roles each, 100 clusters, and
-- 10,000 associations in 100 namespaces, each in every cluster. Of the findings two fifths are about associations, three
-- tenths about roles that an association has, the rest about other roles.

insert into run (id, kind, trigger, state, started_at, finished_at, lease_until, snapshot_at, judged_at)
    values (1, 'import', 'bench', 'done', now(), now(), now(), now(), now());

insert into resource (account_id, kind, key, seen_from, digest, body)
    select m.account_id, 'org_unit', u.id, 1, sha256(u.id::bytea), jsonb_build_object(
        'id', u.id, 'parent', u.parent, 'name', u.id, 'path', u.path)
    from (values ('100000000000')) m (account_id)
    cross join (
        select 'r-root' as id, null as parent, '/' as path
        union all
        select 'ou-root-0000000' || n, 'r-root', '/ou' || n from generate_series(0, 9) n) u;

insert into resource (account_id, kind, key, seen_from, digest, body)
    select account, 'account', account, 1, sha256(account::bytea), jsonb_build_object(
        'id', account, 'name', 'account ' || n, 'organization_id', 'o-bench', 'ou_path', '/ou' || n % 10,
        'management_account_id', '100000000000')
    from generate_series(0, 999) n, lateral (select (100000000000 + n)::text as account) a;

insert into resource (account_id, kind, key, seen_from, digest, body, name)
    select account, 'role', arn, 1, sha256(arn::bytea), jsonb_build_object(
        'arn', arn, 'role_id', 'AROA' || n || 'X' || r, 'trust', encode(sha256('trust'), 'hex'), 'inline', '[]'::jsonb,
        'attached', '[]'::jsonb, 'tags', '{}'::jsonb, 'instance_profiles', '[]'::jsonb), 'role-' || r
    from generate_series(0, 999) n, generate_series(0, 99) r,
         lateral (select (100000000000 + n)::text as account) a,
         lateral (select 'arn:aws:iam::' || account || ':role/role-' || r as arn) b;

insert into document (account_id, digest, text, first_run)
    select (100000000000 + n)::text, sha256('trust'), '{}', 1 from generate_series(0, 999) n;

insert into resource (account_id, kind, key, seen_from, digest, body, name, region, cluster)
    select account, 'cluster', 'eu-west-1/cluster-' || n, 1, sha256(account::bytea), jsonb_build_object(
        'account_id', account, 'region', 'eu-west-1', 'name', 'cluster-' || n,
        'arn', 'arn:aws:eks:eu-west-1:' || account || ':cluster/cluster-' || n, 'version', '1.33', 'status', 'ACTIVE'),
        'cluster-' || n, 'eu-west-1', 'cluster-' || n
    from generate_series(0, 99) n, lateral (select (100000000000 + n)::text as account) a;

insert into resource (account_id, kind, key, seen_from, digest, body, region, cluster, namespace, service_account,
                      role_arn)
    select account, 'association', key, 1, sha256(key::bytea), jsonb_build_object(
        'association_id', 'a-' || n || 'x' || s, 'arn', 'arn:aws:eks:eu-west-1:' || account
            || ':podidentityassociation/cluster-' || n || '/a-' || n || 'x' || s,
        'key', jsonb_build_object('account_id', account, 'region', 'eu-west-1', 'cluster', 'cluster-' || n,
                                  'namespace', 'team-' || s, 'service_account', 'app'),
        'detail', jsonb_build_object('role_arn', arn, 'disable_session_tags', false, 'tags', '{}'::jsonb,
                                     'extra', '{}'::jsonb)),
        'eu-west-1', 'cluster-' || n, 'team-' || s, 'app', arn
    from generate_series(0, 99) n, generate_series(0, 99) s,
         lateral (select (100000000000 + n)::text as account) a,
         lateral (select account || '/eu-west-1/cluster-' || n || '/team-' || s || '/app' as key,
                         'arn:aws:iam::' || account || ':role/role-' || s as arn) b;

insert into resource_count (account_id, kind, run_id, number)
    select account_id, kind, 1, count(*) from resource group by 1, 2;

insert into finding (account_id, fingerprint, number, rule, severity, severity_rank, subject_kind, subject_key, region,
                     cluster, namespace, service_account, role_arn, detection, workflow, resolution, message, evidence,
                     evidence_digest, params, first_seen_at, opened_at, last_seen_at, resolved_at, updated_at, first_run,
                     last_run, version, change_seq, workloads)
    select account, 'v1:' || encode(sha256(('f' || n)::bytea), 'hex'), n,
           'rule-' || n % 40, (array['info', 'low', 'medium', 'high', 'critical'])[1 + rank], rank,
           case when kind < 4 then 'association' else 'role' end,
           case when kind < 4 then place || '/app' else arn end,
           case when kind < 4 then 'eu-west-1' end, case when kind < 4 then 'cluster-' || c end,
           case when kind < 4 then 'team-' || s end, case when kind < 4 then 'app' end, arn,
           case when is_open then 'active' else 'cleared' end, case when is_open then 'open' else 'resolved' end,
           case when is_open then null else 'fixed' end,
           'the role ' || arn || ' may do ' || n % 97 || ' more than pods use',
           '[]', sha256('e'), '{}', at, at, at, case when is_open then null else at + interval '1 day' end, at, 1,
           1, 1, n, case when kind between 4 and 6 then 1 else 0 end
    from generate_series(1, FINDINGS) n,
         lateral (select n % 10 as kind, (n / 10) % 10 = 0 as is_open, (hashint4(n) & 1023) % 5 as rank,
                         (hashint4(n + 1) & 1048575) % 100 as c, (hashint4(n + 2) & 1048575) % 100 as s,
                         now() - make_interval(mins => n % 500000) as at) d,
         lateral (select (100000000000 + case when kind < 7 then c else 100 + (hashint4(n) & 1048575) % 900 end)::text
                             as account) a,
         lateral (select 'arn:aws:iam::' || account || ':role/role-' || s as arn,
                         account || '/eu-west-1/cluster-' || c || '/team-' || s as place) b;

insert into finding_workload (account_id, fingerprint, association, cluster_account_id, region, cluster, namespace,
                              service_account, via, open_rank)
    select f.account_id, f.fingerprint, a.key, a.account_id, a.region, a.cluster, a.namespace, a.service_account,
           'direct', finding_open_rank(f.workflow, f.part_of, f.severity_rank)
    from finding f
    join resource a on a.kind = 'association' and a.role_arn = f.role_arn
    where f.workloads = 1;

insert into finding_event (account_id, change_seq, fingerprint, run_id, at, kind, actor, detail)
    select account_id, number, fingerprint, 1, opened_at, 'opened', 'rolecall', '{}' from finding;

insert into change (account_id, id, run_id, resource_type, resource, change, effect, affected, detected_at, until, body,
                    attribution, attribution_because, effective_at, events)
    select account, id, 1, 'AWS::IAM::Role', arn, 'inline_policy_changed', 'widened', array[place], at, at,
           jsonb_build_object(
               'id', id, 'resource', jsonb_build_object('kind', 'AWS::IAM::Role', 'name', arn), 'account_id', account,
               'change', 'inline_policy_changed', 'effect', 'widened', 'because', 'more is allowed', 'caused_by', null,
               'takes_hold', 'at_once', 'affected', jsonb_build_array(jsonb_build_object(
                   'workload', jsonb_build_object('account_id', account, 'region', 'eu-west-1', 'cluster',
                                                  'cluster-' || c, 'namespace', 'team-' || s, 'service_account', 'app'),
                   'effect', 'widened'))),
           'none', 'no event was seen', at, '[]'
    from generate_series(1, FINDINGS / 5) n,
         lateral (select (hashint4(n + 1) & 1048575) % 100 as c, (hashint4(n + 2) & 1048575) % 100 as s,
                         'chg_' || left(encode(sha256(('c' || n)::bytea), 'hex'), 32) as id,
                         now() - make_interval(mins => n % 500000) as at) d,
         lateral (select (100000000000 + c)::text as account) a,
         lateral (select 'arn:aws:iam::' || account || ':role/role-' || s as arn,
                         account || '/eu-west-1/cluster-' || c || '/team-' || s || '/app' as place) b;

update counter set value = FINDINGS where name = 'change';
vacuum (analyze);
