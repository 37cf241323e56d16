-- Why: what the latest scan did not confirm is marked, and the mark went when the resource was seen again. So an
-- estate of a moment that has passed did not say which of its resources were only remembered then, and nothing could
-- be decided about it in three values. From now on a mark that ends is kept.

create table unconfirmed_past (
    account_id text not null,
    kind text not null,
    key text not null,
    -- From this run on, and until before that one.
    since_run bigint not null,
    until_run bigint not null,
    primary key (account_id, kind, key, since_run),
    check (until_run > since_run)
);

-- Of the time before, it is known when a listing had gaps, and not what it showed all the same: everything that was in
-- it before the gap counts as not confirmed while it lasted. What is marked still has its mark.
with state as (
    select account_id, scope, region, cluster, run_id, complete,
           lead(run_id) over (partition by account_id, scope, region, cluster order by run_id) as next_run
    from coverage_state
),
gap as (
    select s.account_id, s.scope, s.region, s.cluster, s.run_id,
           coalesce(s.next_run, (select value + 1 from counter where account_id = '000000000000' and name = 'snapshot')) as next_run
    from state s
    where not s.complete and exists (
        select from coverage_gap g
        where g.account_id = s.account_id and g.scope = s.scope and g.region = s.region and g.cluster = s.cluster
          and g.run_id = s.run_id and g.reason <> 'not_provided')
),
part (scope, kind, of_kind) as (
    values ('roles', 'role', 'role'), ('policies', 'policy', 'policy'), ('policies', 'policy_document', 'policy'),
           ('oidc_providers', 'oidc_provider', 'oidc_provider'), ('org_policies', 'org_policy', 'org_policy'),
           ('organization', 'org_unit', 'org_unit'), ('clusters', 'cluster', 'cluster'),
           ('addons', 'cluster_addons', 'cluster'), ('associations', 'association', 'association'),
           ('association_details', 'association_detail', 'association'), ('trails', 'trail', 'trail'),
           ('trails', 'trail_selectors', 'trail')
)
insert into unconfirmed_past (account_id, kind, key, since_run, until_run)
select r.account_id, p.kind, r.key, g.run_id, max(least(g.next_run, coalesce(r.seen_to, g.next_run)))
from gap g
join part p on p.scope = g.scope
join resource r on r.account_id = g.account_id and r.kind = p.of_kind
where r.seen_from < g.run_id and (r.seen_to is null or r.seen_to > g.run_id)
  and case when p.of_kind in ('association', 'trail') then coalesce(r.region, '') = g.region
           when p.of_kind = 'cluster' then split_part(r.key, '/', 1) = g.region
           else true end
  and case when p.of_kind = 'association' then r.cluster = g.cluster
           when p.kind = 'cluster_addons' then split_part(r.key, '/', 2) = g.cluster
           else true end
group by 1, 2, 3, 4
on conflict do nothing;
