//! Clusters of a region, with their associations, add-ons and access entries.
//!
//! Listings are followed by one description of each thing listed. A thing that is gone by then is
//! left out: it does not exist any more. A cluster or an add-on whose description is refused is
//! reported by its name; what else was last known of it stays. What a cluster holds is read all the
//! same, as it stands on its own.

use crate::account_scan::{AccountScan, client, time};
use crate::call::{Holder, PermissionUse, Refusal, pages};
use aws_config::SdkConfig;
use aws_sdk_eks::Client;
use aws_sdk_eks::types::{PodIdentityAssociation, PodIdentityAssociationSummary};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use futures::future::join_all;
use rolecall_estate::coverage::{GapReason, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AccessEntry, Addon, Association, AssociationDetail, Cluster, Tags, aws};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

macro_rules! permissions {
    ($($name:ident: $action:literal, $why:literal;)*) => {
        $(pub(crate) static $name: PermissionUse =
            PermissionUse { action: $action, holder: Holder::Member, why: $why };)*
        pub(crate) static ACTIONS: [&PermissionUse; [$(stringify!($name)),*].len()] = [$(&$name),*];
    };
}

permissions! {
    LIST_CLUSTERS: "eks:ListClusters", "to find clusters";
    DESCRIBE_CLUSTER: "eks:DescribeCluster", "to know a cluster's version, issuer and mode";
    LIST_ASSOCIATIONS: "eks:ListPodIdentityAssociations", "to find Pod Identity associations";
    DESCRIBE_ASSOCIATION: "eks:DescribePodIdentityAssociation", "to know an association's roles and policy";
    LIST_ADDONS: "eks:ListAddons", "to find the Pod Identity agent";
    DESCRIBE_ADDON: "eks:DescribeAddon", "to know an add-on's health and the associations that it owns";
    LIST_ACCESS_ENTRIES: "eks:ListAccessEntries", "to find who may enter a cluster";
    DESCRIBE_ACCESS_ENTRY: "eks:DescribeAccessEntry", "to know the Kubernetes groups of an access entry";
    LIST_ACCESS_POLICIES: "eks:ListAssociatedAccessPolicies", "to know what an access entry allows";
}

/// Asked for per page: the most that EKS gives.
const PAGE: i32 = 100;

/// Looks at the clusters of a region; returns how many were listed.
pub(crate) async fn region(scan: &AccountScan<'_>, config: &SdkConfig, region: &Region) -> usize {
    let client = client!(aws_sdk_eks, config, region, scan.account_id);
    let scope = scan.regional(ScopeKind::Clusters, region);
    let mut names: Vec<ClusterName> = Vec::new();
    let ended = pages!(
        scan,
        &LIST_CLUSTERS,
        |token| client.list_clusters().max_results(PAGE).set_next_token(token),
        clusters,
        |clusters| {
            for name in clusters {
                match name.parse() {
                    Ok(name) => names.push(name),
                    Err(error) => scan.gap(&scope, &Refusal::malformed(&LIST_CLUSTERS, format!("{error}"))),
                }
            }
        }
    );
    if let Some(refusal) = ended {
        scan.gap(&scope, &refusal);
    }
    let cluster_scan = ClusterScan { scan, client: &client, region };
    join_all(names.iter().map(|name| cluster_scan.cluster(name))).await;
    scan.close_scope(&scope);
    names.len()
}

struct ClusterScan<'l, 'r> {
    scan: &'l AccountScan<'r>,
    client: &'l Client,
    region: &'l Region,
}

impl ClusterScan<'_, '_> {
    async fn cluster(&self, name: &ClusterName) {
        let Self { scan, client, region } = *self;
        let described = scan.caller.call(&DESCRIBE_CLUSTER, client.describe_cluster().name(name.as_str()).send()).await;
        let described = described.and_then(|answer| {
            let malformed =
                |what: &dyn std::fmt::Display| Refusal::malformed(&DESCRIBE_CLUSTER, format!("cluster {name}: {what}"));
            let described = cluster(answer.cluster.ok_or_else(|| malformed(&"no description"))?);
            described.into_cluster(scan.account_id, region.clone()).map_err(|error| malformed(&error))
        });
        let details = scan.of_cluster(ScopeKind::ClusterDetails, region, name);
        let mut cluster = match described {
            Err(refusal) if refusal.is_gone() => return,
            // What was listed is there, and what it holds has calls of its own.
            Err(refusal) => {
                scan.gap(&details, &refusal);
                Cluster::new(scan.account_id, region.clone(), name.clone())
            }
            Ok(cluster) => cluster,
        };
        scan.close_scope(&details);
        // A cluster of this mode has no access entries, and EKS refuses to list them.
        let by_config_map = cluster.authentication_mode.as_deref() == Some("CONFIG_MAP");
        let entries = async {
            if by_config_map {
                scan.close_scope(&scan.of_cluster(ScopeKind::AccessEntries, region, name));
                Some(Vec::new())
            } else {
                self.access_entries(name).await
            }
        };
        let ((), addons, access_entries) = futures::join!(self.associations(name), self.addons(name), entries);
        if let Some(addons) = &addons {
            self.unlisted(name, addons).await;
        }
        // Settled here, as the add-ons may tell of associations that are not listed.
        scan.close_scope(&scan.of_cluster(ScopeKind::Associations, region, name));
        cluster.addons = addons;
        cluster.access_entries = access_entries;
        scan.with(|seen| seen.clusters.push(cluster));
    }

    async fn associations(&self, cluster: &ClusterName) {
        let Self { scan, client, region } = *self;
        let listing = scan.of_cluster(ScopeKind::Associations, region, cluster);
        let details = scan.of_cluster(ScopeKind::AssociationDetails, region, cluster);
        let mut listed = Vec::new();
        let request = || client.list_pod_identity_associations().cluster_name(cluster.as_str());
        let ended = pages!(
            scan,
            &LIST_ASSOCIATIONS,
            |token| request().max_results(PAGE).set_next_token(token),
            associations,
            |associations| {
                for summary in associations {
                    let id = summary.association_id.clone().unwrap_or_default();
                    let summary = association_summary(cluster, summary);
                    match summary.into_association(scan.account_id, region.clone()) {
                        Ok(association) => listed.push(association),
                        Err(error) => {
                            let fault = format!("association {id}: {error}");
                            scan.gap(&listing, &Refusal::malformed(&LIST_ASSOCIATIONS, fault));
                        }
                    }
                }
            }
        );
        if let Some(refusal) = ended {
            scan.gap(&listing, &refusal);
            scan.gap(&details, &Refusal { reason: GapReason::NotReached, ..refusal });
        }
        let described = join_all(listed.into_iter().map(|association| async {
            match self.describe(cluster, &association.association_id).await {
                Ok(detail) => Some(Association { detail: Some(detail), ..association }),
                Err(refusal) if refusal.is_gone() => None,
                Err(refusal) => {
                    scan.gap(&details, &refusal);
                    Some(association)
                }
            }
        }))
        .await;
        scan.with(|seen| seen.associations.extend(described.into_iter().flatten()));
        scan.close_scope(&details);
    }

    /// Asks for the associations that add-ons own and that are not listed. One that is described is
    /// there, and the listing that lacks it cannot be true.
    async fn unlisted(&self, cluster: &ClusterName, addons: &[Addon]) {
        let listing = self.scan.of_cluster(ScopeKind::Associations, self.region, cluster);
        let owned: Vec<&String> = self.scan.with(|seen| {
            let complete = seen.coverage.gaps_of(&listing).is_none_or(<[_]>::is_empty);
            let cluster_scan = |of: &&Association| of.key.region == *self.region && of.key.cluster == *cluster;
            let listed: BTreeSet<&str> =
                seen.associations.iter().filter(cluster_scan).map(|of| of.arn.as_str()).collect();
            let owned = addons.iter().flat_map(|addon| &addon.association_arns).filter(|_| complete);
            owned.filter(|arn| !listed.contains(arn.as_str())).collect()
        });
        for arn in owned {
            let Some(id) = arn.rsplit('/').next() else { continue };
            match self.describe(cluster, id).await {
                Ok(_) => {
                    let detail = format!("association {id} of cluster {cluster} is described, and is not listed");
                    self.scan.gap(&listing, &Refusal::untrue(&LIST_ASSOCIATIONS, detail));
                }
                Err(refusal) if refusal.is_gone() => {}
                Err(refusal) => self.scan.gap(&listing, &refusal),
            }
        }
    }

    async fn describe(&self, cluster: &ClusterName, id: &str) -> Result<AssociationDetail, Refusal> {
        let body = Body::default();
        let request = self
            .client
            .describe_pod_identity_association()
            .cluster_name(cluster.as_str())
            .association_id(id)
            .customize()
            .interceptor(body.clone());
        let answer = self.scan.caller.call(&DESCRIBE_ASSOCIATION, request.send()).await?;
        let malformed = |what: &str| Refusal::malformed(&DESCRIBE_ASSOCIATION, format!("association {id}: {what}"));
        let found = answer.association.ok_or_else(|| malformed("no description"))?;
        let extra = body.unknown_fields().map_err(|error| malformed(&error.to_string()))?;
        let described = association_description(found, extra);
        self.scan.with(|seen| described.into_detail(&mut seen.documents)).ok_or_else(|| malformed("no role"))
    }

    /// The add-ons; `None` where their listing was refused or broke off, so that the last known ones
    /// stay. One that was listed and could not be described has its name and no more.
    async fn addons(&self, cluster: &ClusterName) -> Option<Vec<Addon>> {
        let Self { scan, client, region } = *self;
        let scope = scan.of_cluster(ScopeKind::Addons, region, cluster);
        let mut names = Vec::new();
        let request = || client.list_addons().cluster_name(cluster.as_str());
        let ended =
            pages!(scan, &LIST_ADDONS, |token| request().max_results(PAGE).set_next_token(token), addons, |addons| {
                names.extend(addons);
            });
        if let Some(refusal) = &ended {
            scan.gap(&scope, refusal);
        }
        let described = join_all(names.into_iter().map(|name| async move {
            let request = client.describe_addon().cluster_name(cluster.as_str()).addon_name(&name);
            let answer = scan.caller.call(&DESCRIBE_ADDON, request.send()).await;
            let malformed =
                |what: &dyn std::fmt::Display| Refusal::malformed(&DESCRIBE_ADDON, format!("add-on {name}: {what}"));
            let described = answer.and_then(|answer| {
                let described = addon(answer.addon.ok_or_else(|| malformed(&"no description"))?);
                described.into_addon().map_err(|error| malformed(&error))
            });
            (name, described)
        }))
        .await;
        let mut addons = Vec::new();
        for (name, described) in described {
            match described {
                Ok(addon) => addons.push(addon),
                Err(refusal) if refusal.is_gone() => {}
                Err(refusal) => {
                    scan.gap(&scope, &refusal);
                    addons.push(Addon::new(name));
                }
            }
        }
        addons.sort_by(|a, b| a.name.cmp(&b.name));
        scan.close_scope(&scope);
        // Those of a listing that broke off were seen.
        (ended.is_none() || !addons.is_empty()).then_some(addons)
    }

    /// Notes why something listed could not be described; says whether that was a refusal.
    fn missing(&self, scope: &rolecall_estate::coverage::Scope, refusal: &Refusal) -> bool {
        if refusal.is_gone() {
            return false;
        }
        self.scan.gap(scope, refusal);
        refusal.reason != GapReason::Malformed
    }

    /// The access entries; `None` where any part of them was refused, so that the last known stay.
    async fn access_entries(&self, cluster: &ClusterName) -> Option<Vec<AccessEntry>> {
        let Self { scan, client, region } = *self;
        let scope = scan.of_cluster(ScopeKind::AccessEntries, region, cluster);
        let mut principals = Vec::new();
        let request = || client.list_access_entries().cluster_name(cluster.as_str());
        let ended = pages!(
            scan,
            &LIST_ACCESS_ENTRIES,
            |token| request().max_results(PAGE).set_next_token(token),
            access_entries,
            |entries| principals.extend(entries)
        );
        let mut refused = ended.is_some();
        if let Some(refusal) = ended {
            scan.gap(&scope, &refusal);
        }
        let described = join_all(principals.into_iter().map(|principal| self.access_entry(cluster, principal))).await;
        let mut entries = Vec::new();
        for (entry, refusals) in described {
            entries.extend(entry);
            for refusal in refusals {
                refused |= self.missing(&scope, &refusal);
            }
        }
        entries.sort_by(|a, b| a.principal_arn.cmp(&b.principal_arn));
        scan.close_scope(&scope);
        (!refused).then_some(entries)
    }

    async fn access_entry(&self, cluster: &ClusterName, principal_arn: String) -> (Option<AccessEntry>, Vec<Refusal>) {
        let Self { scan, client, .. } = *self;
        let describe = client.describe_access_entry().cluster_name(cluster.as_str()).principal_arn(&principal_arn);
        let list =
            || client.list_associated_access_policies().cluster_name(cluster.as_str()).principal_arn(&principal_arn);
        let mut policies = Vec::new();
        let mut refusals = Vec::new();
        let described = scan.caller.call(&DESCRIBE_ACCESS_ENTRY, describe.send());
        let listed = async {
            pages!(
                scan,
                &LIST_ACCESS_POLICIES,
                |token| list().max_results(PAGE).set_next_token(token),
                associated_access_policies,
                |listed| policies.extend(listed)
            )
        };
        let (described, ended) = futures::join!(described, listed);
        refusals.extend(ended);
        let described = described.and_then(|answer| {
            let malformed = |what: &dyn std::fmt::Display| {
                Refusal::malformed(&DESCRIBE_ACCESS_ENTRY, format!("access entry {principal_arn}: {what}"))
            };
            let entry = answer.access_entry.ok_or_else(|| malformed(&"no description"))?;
            access_entry(entry, policies).into_entry().map_err(|error| malformed(&error))
        });
        let entry = match described {
            Ok(entry) => Some(entry),
            Err(refusal) => {
                refusals.push(refusal);
                None
            }
        };
        (entry, refusals)
    }
}

fn cluster(cluster: aws_sdk_eks::types::Cluster) -> aws::ClusterDescription {
    aws::ClusterDescription {
        name: cluster.name,
        arn: cluster.arn,
        created_at: cluster.created_at.as_ref().and_then(time),
        version: cluster.version,
        status: cluster.status.map(|status| status.as_str().to_owned()),
        role_arn: cluster.role_arn,
        oidc_issuer: cluster.identity.and_then(|identity| identity.oidc).and_then(|oidc| oidc.issuer),
        authentication_mode: cluster
            .access_config
            .and_then(|access| access.authentication_mode)
            .map(|mode| mode.as_str().to_owned()),
        auto_mode: cluster.compute_config.and_then(|compute| compute.enabled),
        tags: tags(cluster.tags),
    }
}

fn association_summary(cluster: &ClusterName, summary: PodIdentityAssociationSummary) -> aws::AssociationSummary {
    aws::AssociationSummary {
        cluster_name: Some(cluster.to_string()),
        namespace: summary.namespace,
        service_account: summary.service_account,
        association_arn: summary.association_arn,
        association_id: summary.association_id,
        owner_arn: summary.owner_arn,
    }
}

fn association_description(
    found: PodIdentityAssociation,
    extra: BTreeMap<String, serde_json::Value>,
) -> aws::AssociationDescription {
    aws::AssociationDescription {
        role_arn: found.role_arn,
        target_role_arn: found.target_role_arn,
        external_id: found.external_id,
        disable_session_tags: found.disable_session_tags,
        policy: found.policy,
        tags: tags(found.tags),
        created_at: found.created_at.as_ref().and_then(time),
        modified_at: found.modified_at.as_ref().and_then(time),
        extra,
    }
}

fn addon(addon: aws_sdk_eks::types::Addon) -> aws::AddonDescription {
    let issues = addon.health.and_then(|health| health.issues).unwrap_or_default();
    aws::AddonDescription {
        addon_name: addon.addon_name,
        addon_version: addon.addon_version,
        status: addon.status.map(|status| status.as_str().to_owned()),
        service_account_role_arn: addon.service_account_role_arn,
        pod_identity_associations: addon.pod_identity_associations.unwrap_or_default(),
        health_issues: issues.into_iter().map(|issue| issue.code.map(|code| code.as_str().to_owned())).collect(),
    }
}

fn access_entry(
    entry: aws_sdk_eks::types::AccessEntry,
    policies: Vec<aws_sdk_eks::types::AssociatedAccessPolicy>,
) -> aws::AccessEntryDescription {
    let policy = |policy: aws_sdk_eks::types::AssociatedAccessPolicy| aws::AssociatedAccessPolicy {
        policy_arn: policy.policy_arn,
        namespaces: policy.access_scope.and_then(|scope| scope.namespaces).unwrap_or_default(),
    };
    aws::AccessEntryDescription {
        principal_arn: entry.principal_arn,
        kubernetes_groups: entry.kubernetes_groups.unwrap_or_default(),
        kind: entry.r#type,
        associated_access_policies: policies.into_iter().map(policy).collect(),
    }
}

fn tags(tags: Option<HashMap<String, String>>) -> Tags {
    tags.unwrap_or_default().into_iter().collect()
}

/// Keeps the body of an answer beside what the SDK makes of it, as the SDK drops what it does not
/// know.
#[derive(Debug, Clone, Default)]
struct Body(Arc<Mutex<Vec<u8>>>);

impl Intercept for Body {
    fn name(&self) -> &'static str {
        "keep-body"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body.to_vec();
        Ok(())
    }
}

impl Body {
    fn unknown_fields(&self) -> Result<BTreeMap<String, serde_json::Value>, serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Answer {
            #[serde(default)]
            association: BTreeMap<String, serde_json::Value>,
        }
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(aws::unknown_association_fields(serde_json::from_slice::<Answer>(&body)?.association))
    }
}
