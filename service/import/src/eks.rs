//! Clusters, their add-ons and access entries, and Pod Identity associations, as `aws eks` prints them.
//!
//! A listing shows an association without its role; a description adds it. Both may come, in any
//! order. Refuses to know whether roles and service accounts exist.

use super::item::{Fault, Item, Read};
use super::listing::Page;
use super::{AccountDraft, Builder, Source};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AccessEntry, Addon, Association, Cluster, Documents, aws};
use rolecall_iam::{AccountId, Arn};
use serde_json::Value;

/// Where a record is: its ARN says so, or else the file's path.
fn place(item: &Item<'_>, key: &str, source: Source<'_>) -> Read<(AccountId, Region)> {
    if item.get(key).is_some() {
        let arn: Arn = item.parsed(key)?;
        if let (Some(account), Ok(region)) = (arn.account_id(), arn.region().parse()) {
            return Ok((account, region));
        }
    }
    match (source.place.account, source.place.region.clone()) {
        (Some(account), Some(region)) => Ok((account, region)),
        _ => Err(Fault::new(
            format!("{}/{key}", item.pointer),
            "no ARN says which account and region it is in",
            "give the record with its ARN, or put the file into eks/<account>/<region>/",
        )),
    }
}

/// The records under a plural or a singular key, with their pointers.
fn records<'a>(value: &'a Value, many: &str, one: &str) -> Vec<(String, &'a Value)> {
    match (value.get(many).and_then(Value::as_array), value.get(one)) {
        (Some(list), _) => list.iter().enumerate().map(|(i, v)| (format!("/{many}/{i}"), v)).collect(),
        (None, Some(single)) => vec![(format!("/{one}"), single)],
        (None, None) => Vec::new(),
    }
}

impl Builder {
    pub(super) fn clusters(&mut self, source: Source<'_>, value: &Value) -> usize {
        let page = value.get("clusters").is_some().then(|| source.page(value, source.is_below("eks")));
        let mut read = 0;
        if let (Some(account), Some(region), Some(page)) = (source.place.account, &source.place.region, &page) {
            self.page(account, (ScopeKind::Clusters, Some(region.clone()), None), page.clone());
        }
        for (i, (pointer, value)) in records(value, "clusters", "cluster").into_iter().enumerate() {
            match Item::new(value, pointer).and_then(|item| cluster(&item, source)) {
                Ok(cluster) => {
                    if let Some(page) = &page {
                        let listing = (ScopeKind::Clusters, Some(cluster.region.clone()), None);
                        self.page(cluster.account_id, listing, page.clone());
                    }
                    let draft = self.draft(cluster.account_id);
                    draft.held = true;
                    let key = (cluster.region.clone(), cluster.name.clone());
                    match draft.clusters.insert(key, cluster.clone()) {
                        Some(known) if known != cluster => {
                            let message =
                                format!("the cluster {} is in another file too, and not the same", cluster.arn);
                            let remedy = "keep one of the two files; the later one was taken";
                            self.problem(source, Fault::new("/clusters", message, remedy), None, Some(i));
                        }
                        _ => read += 1,
                    }
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    if let (Some(account), Some(region)) = (source.place.account, source.place.region.clone()) {
                        let scope = Scope::regional(account, ScopeKind::Clusters, region);
                        self.malformed(scope, "eks:DescribeCluster", source.path);
                    }
                }
            }
        }
        read
    }

    /// A list tells of the clusters that it names; of all of its region only where the estate layout
    /// has that one. AWS lists one cluster at a time, and perhaps one namespace of it.
    pub(super) fn associations(&mut self, source: Source<'_>, value: &Value) -> usize {
        let of_region = source.is_below("eks") && source.is_named("pod_identity_associations");
        let page = value.get("associations").is_some().then(|| source.page(value, of_region));
        let mut read = 0;
        if let (Some(account), Some(region), Some(page)) = (source.place.account, &source.place.region, &page) {
            self.draft(account).held = true;
            if of_region {
                self.page(account, (ScopeKind::Associations, Some(region.clone()), None), page.clone());
            }
        }
        for (i, (pointer, value)) in records(value, "associations", "association").into_iter().enumerate() {
            let mut documents = Documents::default();
            match Item::new(value, pointer).and_then(|item| association(&item, source, &mut documents)) {
                Ok(association) => {
                    read += 1;
                    let key = association.key.clone();
                    let draft = self.draft(key.account_id);
                    draft.held = true;
                    draft.observation.documents.absorb(documents);
                    if let (Some(page), false) = (&page, of_region) {
                        self.page_of(ScopeKind::Associations, key.account_id, &key.region, &key.cluster, page);
                    }
                    let scope = Scope::of_cluster(
                        key.account_id,
                        ScopeKind::Associations,
                        key.region.clone(),
                        key.cluster.clone(),
                    );
                    if !self.merge(association) {
                        let message = format!("the association of {key} is in another file too, and not the same");
                        let remedy = "keep one of the two files; the first one was taken";
                        self.problem(source, Fault::new("/associations", message, remedy), None, Some(i));
                        self.malformed(scope, "eks:DescribePodIdentityAssociation", source.path);
                    }
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    self.malformed_association(source, value);
                }
            }
        }
        read
    }

    fn page_of(&mut self, kind: ScopeKind, account: AccountId, region: &Region, cluster: &ClusterName, page: &Page) {
        self.page(account, (kind, Some(region.clone()), Some(cluster.clone())), page.clone());
    }

    /// A record that could not be read is a hole in its cluster's listing, or else in its region's.
    fn malformed_association(&mut self, source: Source<'_>, value: &Value) {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let arn = text("associationArn").and_then(|arn| arn.parse::<Arn>().ok());
        let account = arn.as_ref().and_then(Arn::account_id).or(source.place.account);
        let region = arn.and_then(|arn| arn.region().parse().ok()).or_else(|| source.place.region.clone());
        let (Some(account_id), Some(region)) = (account, region) else { return };
        let cluster = text("clusterName").and_then(|name| name.parse().ok());
        for kind in [ScopeKind::Associations, ScopeKind::AssociationDetails] {
            let scope = Scope { account_id, kind, region: Some(region.clone()), cluster: cluster.clone() };
            self.malformed(scope, "eks:ListPodIdentityAssociations", source.path);
        }
    }

    pub(super) fn addons(&mut self, source: Source<'_>, value: &Value) -> usize {
        self.parts(source, value, ["addons", "addon"], "addonArn", ScopeKind::Addons, |draft, at, item| {
            let addon = addon(item)?;
            draft.addons.entry(at).or_default().insert(addon.name.clone(), addon);
            Ok(())
        })
    }

    pub(super) fn access_entries(&mut self, source: Source<'_>, value: &Value) -> usize {
        let keys = ["accessEntries", "accessEntry"];
        self.parts(source, value, keys, "accessEntryArn", ScopeKind::AccessEntries, |draft, at, item| {
            let entry = access_entry(item)?;
            draft.access_entries.entry(at).or_default().insert(entry.principal_arn.clone(), entry);
            Ok(())
        })
    }

    /// Reads records that are parts of clusters. A list tells of its region where the path says which,
    /// else of the clusters that it names.
    fn parts(
        &mut self,
        source: Source<'_>,
        value: &Value,
        [many, one]: [&str; 2],
        arn: &str,
        kind: ScopeKind,
        add: impl Fn(&mut AccountDraft, (Region, ClusterName), &Item<'_>) -> Read<()>,
    ) -> usize {
        let page = value.get(many).is_some().then(|| source.page(value, source.is_below("eks")));
        let mut read = 0;
        if let (Some(account), Some(region), Some(page)) = (source.place.account, &source.place.region, &page) {
            self.page(account, (kind, Some(region.clone()), None), page.clone());
        }
        for (i, (pointer, value)) in records(value, many, one).into_iter().enumerate() {
            let taken = || {
                let item = Item::new(value, pointer)?;
                let (account, region) = place(&item, arn, source)?;
                let cluster: ClusterName = item.parsed("clusterName")?;
                if let Some(page) = &page {
                    self.page_of(kind, account, &region, &cluster, page);
                }
                let draft = self.draft(account);
                draft.held = true;
                add(draft, (region, cluster), &item)
            };
            match taken() {
                Ok(()) => read += 1,
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    let cluster = value.get("clusterName").and_then(Value::as_str).and_then(|name| name.parse().ok());
                    if let (Some(account_id), Some(region)) = (source.place.account, source.place.region.clone()) {
                        let scope = Scope { account_id, kind, region: Some(region), cluster };
                        self.malformed(scope, "eks:ListClusters", source.path);
                    }
                }
            }
        }
        read
    }

    /// Takes an association over, or what it adds to the one that is there. False: they contradict.
    fn merge(&mut self, association: Association) -> bool {
        let known = &mut self.draft(association.key.account_id).associations;
        let Some(known) = known.get_mut(&association.key) else {
            known.insert(association.key.clone(), association);
            return true;
        };
        if known.association_id != association.association_id {
            return false;
        }
        match (&known.detail, &association.detail) {
            (Some(a), Some(b)) => a == b,
            (None, Some(_)) => {
                *known = association;
                true
            }
            (_, None) => true,
        }
    }
}

fn cluster(item: &Item<'_>, source: Source<'_>) -> Read<Cluster> {
    let (account_id, region) = place(item, "arn", source)?;
    let oidc = item.maybe_item("identity")?.map(|identity| identity.maybe_item("oidc")).transpose()?.flatten();
    let access = item.maybe_item("accessConfig")?;
    let compute = item.maybe_item("computeConfig")?;
    let description = aws::ClusterDescription {
        name: item.owned("name")?,
        arn: item.owned("arn")?,
        created_at: item.time("createdAt")?,
        version: item.owned("version")?,
        status: item.owned("status")?,
        role_arn: item.owned("roleArn")?,
        oidc_issuer: oidc.map(|oidc| oidc.owned("issuer")).transpose()?.flatten(),
        authentication_mode: access.map(|access| access.owned("authenticationMode")).transpose()?.flatten(),
        auto_mode: compute.map(|compute| compute.flag("enabled")).transpose()?.flatten(),
        tags: item.tags("tags")?,
    };
    description.into_cluster(account_id, region).map_err(|error| item.fault(&error))
}

fn association(item: &Item<'_>, source: Source<'_>, documents: &mut Documents) -> Read<Association> {
    let (account_id, region) = place(item, "associationArn", source)?;
    let summary = aws::AssociationSummary {
        cluster_name: item.owned("clusterName")?,
        namespace: item.owned("namespace")?,
        service_account: item.owned("serviceAccount")?,
        association_arn: item.owned("associationArn")?,
        association_id: item.owned("associationId")?,
        owner_arn: item.owned("ownerArn")?,
    };
    let description = aws::AssociationDescription {
        role_arn: item.owned("roleArn")?,
        target_role_arn: item.owned("targetRoleArn")?,
        external_id: item.owned("externalId")?,
        disable_session_tags: item.flag("disableSessionTags")?,
        policy: item.document("policy")?,
        tags: item.tags("tags")?,
        created_at: item.time("createdAt")?,
        modified_at: item.time("modifiedAt")?,
        extra: aws::unknown_association_fields(item.map.iter().map(|(k, v)| (k.clone(), v.clone()))),
    };
    let association = summary.into_association(account_id, region).map_err(|error| item.fault(&error))?;
    Ok(Association { detail: description.into_detail(documents), ..association })
}

fn addon(item: &Item<'_>) -> Read<Addon> {
    let issues = item.maybe_item("health")?.map(|health| health.each("issues", |issue| issue.owned("code")));
    let description = aws::AddonDescription {
        addon_name: item.owned("addonName")?,
        addon_version: item.owned("addonVersion")?,
        status: item.owned("status")?,
        service_account_role_arn: item.owned("serviceAccountRoleArn")?,
        pod_identity_associations: item.texts("podIdentityAssociations")?,
        health_issues: issues.transpose()?.flatten().unwrap_or_default(),
    };
    description.into_addon().map_err(|error| item.fault(&error))
}

fn access_entry(item: &Item<'_>) -> Read<AccessEntry> {
    let policy = |policy: &Item<'_>| {
        let scope = policy.maybe_item("accessScope")?;
        let namespaces = scope.map_or(Ok(Vec::new()), |scope| scope.texts("namespaces"))?;
        Ok(aws::AssociatedAccessPolicy { policy_arn: policy.owned("policyArn")?, namespaces })
    };
    let description = aws::AccessEntryDescription {
        principal_arn: item.owned("principalArn")?,
        kubernetes_groups: item.texts("kubernetesGroups")?,
        kind: item.owned("type")?,
        associated_access_policies: item.each("associatedAccessPolicies", policy)?.unwrap_or_default(),
    };
    description.into_entry().map_err(|error| item.fault(&error))
}
