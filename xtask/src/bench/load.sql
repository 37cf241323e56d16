-- Copies the estate of the demo until there are FINDINGS findings, a tenth of them open, ROLES roles and CHANGES
-- changes in ACCOUNTS accounts. What is copied keeps its shape; accounts, roles, namespaces and workloads have other
-- names. Findings began over two years, one scan a day.

set synchronous_commit = off;
set maintenance_work_mem = '512MB';
set work_mem = '128MB';
-- What is written here is analyzed at the end.
set client_min_messages = warning;

create temp table template_account as
    select account_id, row_number() over (order by account_id) - 1 as n from (select distinct account_id from resource) a;

create function pg_temp.account(template text, copy bigint) returns text immutable language sql as $$
    select (500000000000 + (copy * 7919 + ascii(substr(template, 1, 1)) * 31 + ascii(substr(template, 4, 1))) % ACCOUNTS)::text
$$;

-- A text of a copy: the accounts of the demo in it, and its roles and workloads, are those of the copy.
create function pg_temp.moved(said text, copy bigint) returns text immutable language plpgsql as $$
declare
    template text;
begin
    said := regexp_replace(said, '(arn:aws:iam::[0-9]{12}:role/[^"\\ ]+)', '\1-' || copy, 'g');
    said := regexp_replace(said, '("service_account": ?"[^"]+)', '\1-' || copy, 'g');
    said := regexp_replace(said, '("namespace": ?"[^"]+)', '\1-' || copy % 20, 'g');
    said := regexp_replace(said, '([0-9]{12}/[a-z0-9-]+/[a-z0-9-]+/[a-z0-9-]+)/([a-z0-9-]+)',
                           '\1-' || copy % 20 || '/\2-' || copy, 'g');
    for template in select distinct it[1] from regexp_matches(said, '[0-9]{12}', 'g') it loop
        said := replace(said, template, pg_temp.account(template, copy));
    end loop;
    return said;
end $$;

create function pg_temp.fingerprint(template text, copy bigint) returns text immutable language sql as $$
    select 'v1:' || substr(md5(template || copy), 1, 26)
$$;

-- Indexes are made anew once the rows are there.
create temp table made_later as
    select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition
    from pg_index i join pg_class c on c.oid = i.indrelid
    where c.relname in ('finding', 'finding_workload', 'finding_event', 'resource', 'change')
      and c.relnamespace = current_schema()::regnamespace
      and not exists (select from pg_constraint k where k.conindid = i.indexrelid);
do $$
declare
    name text;
begin
    for name in select m.name from made_later m loop execute 'drop index ' || name; end loop;
end $$;

-- Copies of the estate.
create temp table copies as
    select n as copy from generate_series(1, (ROLES / (
        select count(*) from resource where kind = 'role' and seen_to is null))::bigint) n;
create temp table latest as
    select (select max(id) from run where snapshot_at is not null) as scan,
           (select max(id) from run where judged_at is not null) as judged;

insert into resource (account_id, kind, key, seen_from, digest, body, name, region, cluster, namespace, service_account,
                      role_arn, target_role_arn)
    select pg_temp.account(account_id, copy),
           kind, pg_temp.moved(key, copy), seen_from, sha256(convert_to(key || copy, 'UTF8')),
           case kind when 'association' then jsonb_set(moved, '{association_id}',
                to_jsonb('a-' || substr(md5(key || copy), 1, 17))) else moved end,
           name, region, cluster, namespace || '-' || copy % 20, service_account || '-' || copy,
           pg_temp.moved(role_arn, copy), pg_temp.moved(target_role_arn, copy)
    from (select r.*, copy, pg_temp.moved(body::text, copy)::jsonb as moved
          from resource r, copies where kind in ('role', 'association') and seen_to is null) r
    on conflict do nothing;
-- An account has its clusters and itself once.
insert into resource (account_id, kind, key, seen_from, digest, body, name, region, cluster)
    select distinct on (1, 2, 3) pg_temp.account(account_id, copy), kind, pg_temp.moved(key, copy), seen_from, digest,
           pg_temp.moved(body::text, copy)::jsonb, name, region, cluster
    from resource, copies where kind in ('account', 'cluster', 'policy') and seen_to is null and copy <= ACCOUNTS
    order by 1, 2, 3, copy
    on conflict do nothing;
do $$
declare
    names text;
begin
    select string_agg(quote_ident(column_name), ', ') into names from information_schema.columns
        where table_name = 'coverage' and is_generated = 'NEVER' and column_name <> 'account_id';
    execute format('insert into coverage (account_id, %1$s)
        select distinct on (1, scope, region, cluster) pg_temp.account(account_id, copy), %1$s
        from coverage, copies where complete order by 1, scope, region, cluster on conflict do nothing', names);
end $$;

-- A scan a day.
insert into run select (jsonb_populate_record(r, jsonb_build_object('id', r.id + n, 'started_at', at, 'finished_at', at,
        'snapshot_at', at, 'judged_at', at))).*
    from (select n, now() - (730 - n) * interval '1 day' as at from generate_series(1, 730) n) n, run r, latest
    where r.id = latest.judged;
update counter set value = (select max(id) from run) where name in ('run', 'snapshot');

do $$
declare
    names text;
begin
    select string_agg(quote_ident(column_name), ', ') into names from information_schema.columns
        where table_name = 'rule_tally' and is_generated = 'NEVER' and column_name not in ('account_id', 'run_id');
    execute format('insert into rule_tally (account_id, run_id, %1$s)
        select distinct on (1, rule) pg_temp.account(t.account_id, copy), (select max(id) from run), %1$s
        from rule_tally t, copies, latest where run_id = latest.judged order by 1, rule on conflict do nothing', names);
end $$;

-- Findings: the templates, their copies, and what became of each.
create temp table template as
    select f.fingerprint, f.account_id, row_number() over (order by f.severity_rank, f.fingerprint) - 1 as n
    from finding f where f.workflow <> 'resolved' and f.subject_kind <> 'change';
create temp table place as
    select t.fingerprint, copy, pg_temp.account(t.account_id, copy) as account_id,
           pg_temp.moved(f.subject_key, copy) as subject_key, f.namespace || '-' || copy % 20 as namespace,
           f.service_account || '-' || copy as service_account, pg_temp.moved(f.role_arn, copy) as role_arn,
           pg_temp.moved(f.target_role_arn, copy) as target_role_arn,
           (select array_agg(pg_temp.moved(w, copy) order by n) from unnest(f.first_workloads) with ordinality as u (w, n))
               as first_workloads
    from template t join finding f using (fingerprint), copies;
create unique index on place (fingerprint, copy);
create temp table made as
    select i, t.fingerprint as template, 1 + (i / s.templates) % s.copies as copy, i / s.templates as turn,
           pg_temp.fingerprint(t.fingerprint, i / s.templates) as fingerprint,
           b.number + i as number, b.seq + 2 * i as seq, (b.run + 1 + i * 730 / FINDINGS) as run,
           now() - (FINDINGS - i) * (interval '730 days' / FINDINGS) as at,
           case when f.severity_rank = 4 and i % 100 < 3 or f.severity_rank = 3 and i % 100 < 8
                     or f.severity_rank = 2 and i % 100 < 11 or f.severity_rank < 2 and i % 100 < 12 then
                    case when i % 7 = 0 then 'acknowledged' else 'open' end
                when i % 100 = 20 then 'suppressed' else 'resolved' end as workflow
    from generate_series(0, FINDINGS - 1) i
    cross join (select (select count(*) from template) as templates, (select count(*) from copies) as copies) s
    cross join (select (select max(number) from finding) + 1 as number,
                       (select value from counter where name = 'change') + 1 as seq, (select judged from latest) as run) b
    join template t on t.n = i % s.templates
    join finding f on f.fingerprint = t.fingerprint;
analyze made, place, template;

do $$
declare
    names text;
    given text;
begin
    with columns (name, value) as (values
        ('account_id', 'p.account_id'), ('fingerprint', 'm.fingerprint'), ('number', 'm.number'),
        ('subject_key', 'p.subject_key'), ('namespace', 'p.namespace'), ('service_account', 'p.service_account'),
        ('role_arn', 'p.role_arn'), ('target_role_arn', 'p.target_role_arn'), ('first_workloads', 'p.first_workloads'), ('workflow', 'm.workflow'),
        ('detection', 'case when m.workflow = ''resolved'' then ''cleared'' when m.i % 37 = 0 then ''stale'' else ''active'' end'),
        ('resolution', 'case when m.workflow = ''resolved'' then ''fixed'' end'),
        ('part_of', 'case when f.part_of is not null and m.i % 3 = 0 then pg_temp.fingerprint(f.part_of, m.turn) end'),
        ('exception', 'null'), ('stale_why', '''[]'''), ('happened_at', 'null'),
        ('first_seen_at', 'm.at'), ('opened_at', 'm.at'),
        ('last_seen_at', 'case when m.workflow = ''resolved'' or m.i % 37 = 0 then least(m.at + m.i % 60 * interval ''1 day'', now()) end'),
        ('resolved_at', 'case when m.workflow = ''resolved'' then least(m.at + m.i % 60 * interval ''1 day'', now()) end'),
        ('updated_at', 'least(m.at + m.i % 60 * interval ''1 day'', now())'),
        ('first_run', 'm.run'),
        ('last_run', 'case when m.workflow = ''resolved'' or m.i % 37 = 0 then m.run + least(m.i % 60, 730 - m.i * 730 / FINDINGS) end'),
        ('assignee', 'case when m.workflow <> ''resolved'' and m.i % 5 = 0 then ''team-'' || m.i % 40 end'),
        ('suppressed_at', 'case when m.workflow = ''suppressed'' then now() end'),
        ('had_ticket', 'm.workflow in (''open'', ''acknowledged'') and m.i % 10 = 1'),
        ('had_suppression', 'm.workflow = ''suppressed'''), ('change_seq', 'm.seq'))
    select string_agg(quote_ident(c.column_name), ', '),
           string_agg(coalesce(given.value, 'f.' || quote_ident(c.column_name)), ', ') into names, given
    from information_schema.columns c left join columns given on given.name = c.column_name
    where c.table_name = 'finding' and c.is_generated = 'NEVER';
    execute format('insert into finding (%s) select %s from made m join finding f on f.fingerprint = m.template
        join place p on p.fingerprint = m.template and p.copy = m.copy order by m.i', names, given);
end $$;

insert into finding_workload
    select p.account_id, m.fingerprint, w.key, split_part(w.key, '/', 1), w.region, w.cluster, w.namespace,
           w.service_account, w.via, finding_open_rank(f.workflow, f.part_of, f.severity_rank)
    from made m
    join finding f on f.fingerprint = m.fingerprint
    join place p on p.fingerprint = m.template and p.copy = m.copy
    join (select w.fingerprint, copy, pg_temp.moved(w.association, copy) as key, w.region, w.cluster,
                 w.namespace || '-' || copy % 20 as namespace, w.service_account || '-' || copy as service_account, w.via
          from finding_workload w join template t using (fingerprint), copies) w
      on w.fingerprint = m.template and w.copy = m.copy;

insert into finding_event (account_id, change_seq, fingerprint, run_id, at, kind, actor, detail)
    select p.account_id, m.seq, m.fingerprint, m.run, m.at, 'opened', 'scanner', '{}'
    from made m join place p on p.fingerprint = m.template and p.copy = m.copy order by m.i;
insert into finding_event (account_id, change_seq, fingerprint, run_id, at, kind, actor, detail)
    select p.account_id, m.seq + 1, m.fingerprint, m.run + least(m.i % 60, 730 - m.i * 730 / FINDINGS),
           least(m.at + m.i % 60 * interval '1 day', now()), 'resolved', 'scanner', '{"resolution": "fixed"}'
    from made m join place p on p.fingerprint = m.template and p.copy = m.copy where m.workflow = 'resolved' order by m.i;

delete from finding_step_count;
insert into finding_step_count (run_id, day, opened, resolved)
    select coalesce(e.run_id, 0), (e.at at time zone 'UTC')::date,
           count(*) filter (where e.kind in ('opened', 'reopened')), count(*) filter (where e.kind = 'resolved')
    from finding_event e join finding f on f.account_id = e.account_id and f.fingerprint = e.fingerprint
    where e.kind in ('opened', 'reopened', 'resolved') and f.part_of is null
    group by 1, 2;

insert into finding_ticket (account_id, fingerprint, system, idempotency_key, key, url, linked_by, linked_at)
    select p.account_id, m.fingerprint, 'jira', 'rolecall-' || substr(md5(m.fingerprint), 1, 16), 'SEC-' || m.i,
           'https://tracker.example/browse/SEC-' || m.i, 'token ticket-bot', m.at
    from made m join place p on p.fingerprint = m.template and p.copy = m.copy
    where m.workflow in ('open', 'acknowledged') and m.i % 10 = 1;
insert into suppression (account_id, fingerprint, number, reason, justification, until, requested_by, requested_at,
                         in_force_at)
    select p.account_id, m.fingerprint, 1, 'risk_accepted', 'Accepted until the role is replaced',
           now() + interval '90 days', 'token bench', m.at, m.at
    from made m join place p on p.fingerprint = m.template and p.copy = m.copy where m.workflow = 'suppressed';
update counter set value = (select max(number) from finding) where name = 'finding';
update counter set value = (select max(seq) + 2 from made) where name = 'change';

-- Changes: those of a scan have its moment.
create temp table made_change as
    select i, c.id as template, 1 + i % (select least(count(*), 50) from copies) as copy, 'chg_' || md5(c.id || i) as id, r.id as run, r.snapshot_at as at
    from generate_series(0, CHANGES - 1) i
    join (select id, row_number() over (order by id) - 1 as n, count(*) over () as templates from change) c
      on c.n = i % c.templates
    join (select id, snapshot_at, row_number() over (order by id) - 1 as n from run, latest where run.id > latest.judged) r
      on r.n = i * 730 / CHANGES;
create temp table moved_change as
    select c.id, copy, pg_temp.moved(c.resource, copy) as resource,
           array(select pg_temp.moved(a, copy) from unnest(c.affected) a) as affected,
           pg_temp.moved(c.body::text, copy)::jsonb as body
    from change c, copies where copy <= 50;
do $$
declare
    names text;
    given text;
begin
    with columns (name, value) as (values
        ('account_id', 'pg_temp.account(c.account_id, m.copy)'), ('id', 'm.id'), ('run_id', 'm.run'),
        ('resource', 'o.resource'), ('affected', 'o.affected'),
        ('detected_at', 'm.at'), ('since', 'm.at - interval ''1 day'''), ('until', 'm.at'), ('effective_at', 'm.at'),
        ('event_time', 'm.at'),
        ('body', 'jsonb_set(o.body, ''{id}'', to_jsonb(m.id))'))
    select string_agg(quote_ident(c.column_name), ', '),
           string_agg(coalesce(given.value, 'c.' || quote_ident(c.column_name)), ', ') into names, given
    from information_schema.columns c left join columns given on given.name = c.column_name
    where c.table_name = 'change' and c.is_generated = 'NEVER';
    execute format('insert into change (%s) select %s from made_change m join change c on c.id = m.template
        join moved_change o on o.id = m.template and o.copy = m.copy order by m.i', names, given);
end $$;
insert into approval (account_id, change_id, number, step, at, who, reason)
    select c.account_id, c.id, 1, 'approved', m.at, 'bench', 'Part of a release'
    from made_change m join change c on c.id = m.id where m.i % 3 = 0;

delete from resource_count;
insert into resource_count (account_id, kind, run_id, number)
    select account_id, kind, run_id, sum(sum(step)) over (partition by account_id, kind order by run_id)
    from (select account_id, kind, seen_from as run_id, 1 as step from resource
          union all
          select account_id, kind, seen_to, -1 from resource where seen_to is not null) as steps
    group by account_id, kind, run_id;

do $$
declare
    definition text;
begin
    for definition in select m.definition from made_later m loop execute definition; end loop;
end $$;
vacuum analyze;
checkpoint;
select (select count(*) from finding) || ' findings, ' || (select count(*) from finding where workflow in ('open', 'acknowledged'))
    || ' of them open, with ' || (select count(*) from finding_workload) || ' workloads, '
    || (select count(*) from resource where kind = 'role' and seen_to is null) || ' roles, '
    || (select count(*) from resource where kind = 'association' and seen_to is null) || ' associations and '
    || (select count(*) from change) || ' changes in '
    || (select count(*) from resource where kind = 'account' and seen_to is null) || ' accounts, '
    || pg_size_pretty(pg_database_size(current_database()));
