//! Proposals on EKS clusters, their add-ons and access entries.

use super::{Refused, Work};
use crate::drift::{Resource, ResourceType};
use crate::what_if::{ClusterKey, ClusterProposal};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{AccessEntry, Addon, Cluster};

impl Work {
    pub(super) fn cluster(&mut self, key: &ClusterKey, proposal: &ClusterProposal) -> Result<(), Refused> {
        let (account, region, name) = key;
        let clusters = &mut self.applied.estate.clusters;
        let known = clusters.iter().position(|it| is(it, key));
        let listing = Scope::regional(*account, ScopeKind::Clusters, region.clone());
        match (proposal, known) {
            (ClusterProposal::Make, None) => {
                let mut made = Cluster::new(*account, region.clone(), name.clone());
                (made.addons, made.access_entries) = (Some(Vec::new()), Some(Vec::new()));
                let resource = Resource::new(ResourceType::Cluster, &made.arn);
                clusters.push(made);
                self.touch(resource, Some(listing), true);
            }
            (ClusterProposal::Delete, Some(at)) => {
                let gone = clusters.remove(at);
                let resource = Resource::new(ResourceType::Cluster, &gone.arn);
                self.applied.estate.associations.retain(|it| {
                    let of = &it.key;
                    (&of.account_id, &of.region, &of.cluster) != (account, region, name)
                });
                self.touch(resource, Some(listing), false);
            }
            (ClusterProposal::Make, Some(_)) => {
                let message = format!("there is a cluster {name} in {region} of account {account} already");
                return Err((message, "propose what changes in it".to_owned()));
            }
            (_, None) => {
                let message = format!("no cluster {name} in {region} of account {account} is known");
                return Err((message, "check the name, and that it was scanned".to_owned()));
            }
            (proposal, Some(at)) => {
                let Some(cluster) = clusters.get_mut(at) else { return Ok(()) };
                let resource = within(cluster, proposal)?;
                self.touch(resource, None, false);
            }
        }
        Ok(())
    }
}

fn is(cluster: &Cluster, (account, region, name): &ClusterKey) -> bool {
    (&cluster.account_id, &cluster.region, &cluster.name) == (account, region, name)
}

/// Changes what is in a cluster, and names it.
fn within(cluster: &mut Cluster, proposal: &ClusterProposal) -> Result<Resource, Refused> {
    let plain = cluster.clone();
    match proposal {
        ClusterProposal::Make | ClusterProposal::Delete => Ok(Resource::new(ResourceType::Cluster, &plain.arn)),
        ClusterProposal::Configure { version, authentication_mode, auto_mode } => {
            set(&mut cluster.version, version.as_ref(), "version", &plain)?;
            set(&mut cluster.authentication_mode, authentication_mode.as_ref(), "authentication mode", &plain)?;
            set(&mut cluster.auto_mode, auto_mode.as_ref(), "compute settings", &plain)?;
            Ok(Resource::new(ResourceType::Cluster, &plain.arn))
        }
        ClusterProposal::MakeAddon(addon) => {
            let addons = addons(cluster)?;
            absent(addons.iter().all(|it| it.name != addon.name), "add-on", &addon.name)?;
            addons.push((**addon).clone());
            Ok(Resource::addon(&plain, &addon.name))
        }
        ClusterProposal::UpdateAddon { name, version, role } => {
            let addon = addons(cluster)?.iter_mut().find(|it| it.name == *name);
            let addon = addon.ok_or_else(|| missing("add-on", name))?;
            if version.is_some() {
                addon.version.clone_from(version);
            }
            if role.is_some() {
                addon.service_account_role_arn.clone_from(role);
            }
            Ok(Resource::addon(&plain, name))
        }
        ClusterProposal::DeleteAddon(name) => {
            let addons = addons(cluster)?;
            let at = addons.iter().position(|it| it.name == *name).ok_or_else(|| missing("add-on", name))?;
            addons.remove(at);
            Ok(Resource::addon(&plain, name))
        }
        ClusterProposal::MakeAccessEntry(entry) => {
            let entries = entries(cluster)?;
            absent(entries.iter().all(|it| it.principal_arn != entry.principal_arn), "entry", &entry.principal_arn)?;
            entries.push((**entry).clone());
            Ok(Resource::access_entry(&plain, &entry.principal_arn))
        }
        ClusterProposal::Groups { principal, groups } => {
            entry(cluster, principal)?.groups.clone_from(groups);
            Ok(Resource::access_entry(&plain, principal))
        }
        ClusterProposal::AssociatePolicy { principal, policy } => {
            let entry = entry(cluster, principal)?;
            entry.policies.retain(|it| it.arn != policy.arn);
            entry.policies.push(policy.clone());
            Ok(Resource::access_entry(&plain, principal))
        }
        ClusterProposal::DisassociatePolicy { principal, policy } => {
            entry(cluster, principal)?.policies.retain(|it| it.arn != *policy);
            Ok(Resource::access_entry(&plain, principal))
        }
        ClusterProposal::DeleteAccessEntry(principal) => {
            let entries = entries(cluster)?;
            let at = entries.iter().position(|it| it.principal_arn == *principal);
            entries.remove(at.ok_or_else(|| missing("access entry", principal))?);
            Ok(Resource::access_entry(&plain, principal))
        }
    }
}

/// Sets what was known before: a scan that did not see a setting cannot tell whether it changed.
fn set<T: Clone>(known: &mut Option<T>, new: Option<&T>, what: &str, of: &Cluster) -> Result<(), Refused> {
    match (new, known) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(unseen(what, of.name.as_str())),
        (Some(new), Some(known)) => {
            known.clone_from(new);
            Ok(())
        }
    }
}

fn addons(cluster: &mut Cluster) -> Result<&mut Vec<Addon>, Refused> {
    let name = cluster.name.clone();
    cluster.addons.as_mut().ok_or_else(|| unseen("add-ons", name.as_str()))
}

fn entries(cluster: &mut Cluster) -> Result<&mut Vec<AccessEntry>, Refused> {
    let name = cluster.name.clone();
    cluster.access_entries.as_mut().ok_or_else(|| unseen("access entries", name.as_str()))
}

fn entry<'a>(cluster: &'a mut Cluster, principal: &str) -> Result<&'a mut AccessEntry, Refused> {
    let found = entries(cluster)?.iter_mut().find(|it| it.principal_arn == principal);
    found.ok_or_else(|| missing("access entry", principal))
}

fn unseen(what: &str, cluster: &str) -> Refused {
    (format!("the {what} of cluster {cluster} could not be seen"), "scan the cluster, then ask again".to_owned())
}

fn missing(what: &str, name: &str) -> Refused {
    (format!("there is no {what} {name} in the cluster"), "check the name".to_owned())
}

fn absent(is_absent: bool, what: &str, name: &str) -> Result<(), Refused> {
    let there =
        || (format!("there is an {what} {name} in the cluster already"), "propose what changes of it".to_owned());
    is_absent.then_some(()).ok_or_else(there)
}
