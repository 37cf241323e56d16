//! The values of a finding that a rule's commands and code may name.

use super::Concern;
use rolecall_estate::{Association, AssociationKey, Cluster, Estate};
use rolecall_iam::Arn;
use rolecall_rules::SubjectKind;
use std::collections::BTreeMap;

/// What is known, by name. What is not known is left out, and becomes a variable.
pub(super) fn of(concern: &Concern<'_>, estate: Option<&Estate>) -> BTreeMap<&'static str, String> {
    let subject = concern.subject;
    let association = estate.and_then(|estate| association(concern, estate));
    let cluster = estate.and_then(|estate| cluster(concern, estate));
    let detail = association.and_then(|it| it.detail.as_ref());
    let role = subject.role_arn.clone().or_else(|| (subject.kind == SubjectKind::Role).then(|| subject.key.clone()));
    let role = role.or_else(|| of_evidence(concern, "roleArn"));
    let name = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
    let region = subject.region.clone().or_else(|| of_evidence(concern, "awsRegion"));
    let trail = estate.and_then(|estate| {
        let mut trails = estate.trails.iter().filter(|it| it.account_id == subject.account_id);
        let silent = trails.clone().find(|it| it.records_read_only_management == Some(false));
        silent.or_else(|| trails.next())
    });
    let all: [(&'static str, Option<String>); 18] = [
        ("access_key_id", of_evidence(concern, "accessKeyId")),
        ("account_id", Some(subject.account_id.to_string())),
        ("association_id", association.map(|it| it.association_id.clone())),
        ("cluster_arn", cluster.map(|it| it.arn.clone())),
        ("cluster_name", subject.cluster.clone().or_else(|| cluster.map(|it| it.name.to_string()))),
        ("event_id", of_evidence(concern, "eventID")),
        ("external_id", detail.and_then(|it| it.external_id.clone())),
        ("namespace", subject.namespace.clone()),
        ("oidc_subject_key", oidc_issuer(concern).map(|issuer| format!("{issuer}:sub"))),
        ("principal_arn", of_evidence(concern, "principalArn")),
        ("region", region.or_else(|| trail.map(|it| it.region.to_string()))),
        ("role_name", role.as_ref().map(name)),
        ("role_arn", role),
        ("service_account", subject.service_account.clone()),
        ("target_role_name", subject.target_role_arn.as_ref().map(name)),
        ("target_role_arn", subject.target_role_arn.clone()),
        ("trail_arn", trail.map(|it| it.arn.clone())),
        ("new_service_account", None),
    ];
    let known = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.filter(|(_, value)| !value.is_empty()).collect()
}

/// The association that the subject is, or that its cluster, namespace and service account name; the only one of its
/// role where the subject is a role.
pub(super) fn association<'e>(concern: &Concern<'_>, estate: &'e Estate) -> Option<&'e Association> {
    let subject = concern.subject;
    let key: Option<AssociationKey> = subject.key.parse().ok();
    let is_named = |it: &&Association| {
        let it = &it.key;
        Some(it.cluster.to_string()) == subject.cluster
            && Some(it.namespace.to_string()) == subject.namespace
            && Some(it.service_account.to_string()) == subject.service_account
            && subject.region.as_ref().is_none_or(|region| it.region.to_string() == *region)
    };
    match key {
        Some(key) => estate.associations.iter().find(|it| it.key == key),
        None => estate.associations.iter().find(is_named),
    }
}

/// The cluster of the subject; of a role the only one whose pods get it.
fn cluster<'e>(concern: &Concern<'_>, estate: &'e Estate) -> Option<&'e Cluster> {
    let subject = concern.subject;
    if subject.kind == SubjectKind::Cluster {
        return estate.clusters.iter().find(|it| it.arn == subject.key);
    }
    if let Some(name) = &subject.cluster {
        let mut named = estate.clusters.iter().filter(|it| {
            it.name.to_string() == *name
                && subject.region.as_ref().is_none_or(|region| it.region.to_string() == *region)
        });
        return named.next().filter(|_| named.next().is_none());
    }
    let role = subject.role_arn.as_ref()?;
    let arns = super::change::clusters_of(estate, role);
    let [only] = arns.as_slice() else { return None };
    estate.clusters.iter().find(|it| it.arn == *only)
}

/// The first value of a field in the evidence.
fn of_evidence(concern: &Concern<'_>, field: &str) -> Option<String> {
    concern.evidence.iter().find_map(|it| it.value.get(field)?.as_str().map(str::to_owned))
}

/// The issuer of the OIDC provider that the evidence trusts.
fn oidc_issuer(concern: &Concern<'_>) -> Option<String> {
    concern.evidence.iter().find_map(|it| {
        let arn = it.value.pointer("/Principal/Federated")?.as_str()?;
        let arn: Arn = arn.parse().ok()?;
        arn.resource().strip_prefix("oidc-provider/").map(str::to_owned)
    })
}
