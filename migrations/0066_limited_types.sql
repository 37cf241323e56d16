-- Why: changes and baselines name the type of their resource as CloudFormation does, and the policies of 0054 asked for
-- other words. So nobody with limits saw an approved state of their own associations and roles, or a change of an
-- association that reaches no workload. The function that reads with the owner's eyes also looks for its tables where
-- they are, whatever the connection's search path says.

drop policy limited on change;
create policy limited on change for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or affected && (select array_agg(distinct key) from limited_association)
    or resource_type = 'AWS::EKS::PodIdentityAssociation' and resource in (select key from limited_association));

drop policy limited on baseline;
create policy limited on baseline for select to rolecall_limited using (
    account_id in (select account_id from limited_account)
    or resource_type = 'AWS::EKS::PodIdentityAssociation' and resource in (select key from limited_association)
    or resource_type = 'AWS::IAM::Role' and resource in (select key from limited_role where seen_to is null));

do $$
begin
    execute format('alter function limited_text(text, text, text) set search_path = %I, pg_temp', current_schema());
end $$;
