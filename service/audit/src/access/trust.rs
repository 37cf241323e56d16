//! What a trust policy says: whom it admits, and what it says of EKS Pod Identity.
//!
//! Asks the policy language's engine; compares no texts. Refuses to know the estate.

use rolecall_iam::trust::{Admission, ExternalAccess, FederatedAccess, Trust, Who};
use rolecall_iam::{AccountId, Answer, Digest, DocumentError, Level, Requester, Site, Truth, Why};
use std::collections::HashMap;
use std::sync::Arc;

/// The service principal of EKS Pod Identity.
pub(crate) const PODS: &str = "pods.eks.amazonaws.com";

pub(crate) const ASSUME: &str = "sts:AssumeRole";
pub(crate) const TAG: &str = "sts:TagSession";

/// The session tags that EKS sends, under the condition keys that hold them.
pub(crate) const TAGS: [&str; 6] = [
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-service-account",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
];

/// Keys that say from where a service's call comes.
const SOURCES: [&str; 4] = ["aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:SourceOrgPaths"];

/// Answers about trust policies that were asked for before.
#[derive(Debug, Default)]
pub(crate) struct TrustCache {
    /// By document, and by the account whose RCPs have a say in it.
    pub answers: HashMap<(Digest, Option<AccountId>), Arc<TrustAnswers>>,
    /// Who outside is let in by a trust policy, by the account that owns the role.
    pub outside: HashMap<(Digest, AccountId), Arc<Vec<ExternalAccess>>>,
    /// RCPs above an account that may refuse a call of AWS STS.
    pub rcps: HashMap<AccountId, Option<Arc<[Level]>>>,
}

/// What one trust policy says.
#[derive(Debug)]
pub(crate) struct TrustAnswers {
    pub trust: Trust,
    pub document: Digest,
    admissions: Result<Vec<Admission>, DocumentError>,
    pub federated: Result<Vec<FederatedAccess>, DocumentError>,
    pub pods: Answer,
    pub pods_tag: Answer,
    pub pods_unlimited: Answer,
    pub pods_of_any_cluster: Truth,
}

impl TrustAnswers {
    pub(crate) fn new(document: Digest, trust: Trust) -> Self {
        let pods = Requester::service(PODS);
        // A statement that only limits `sts:TagSession` limits nothing: tags can be switched off.
        let keys: Vec<String> = SOURCES.iter().map(ToString::to_string).chain(request_tags()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let limited = trust.constrained_by(&pods, &[ASSUME], &keys);
        let untagged = SOURCES.iter().fold(pods.context(), |context, key| context.set(key, [foreign(key)]));
        // The role's own side is not foreign, so that `${aws:ResourceOrgID}` does not agree by chance.
        let untagged = untagged
            .set("aws:ResourceAccount", ["999999999999"])
            .set("aws:ResourceOrgID", ["o-home"])
            .set("aws:ResourceOrgPaths", ["o-home/r-home/"]);
        let untagged = trust.admits_in(&pods, ASSUME, &untagged.absent_under("aws:RequestTag/"));
        let foreign = Answer { truth: !limited.foreign.truth, by: limited.foreign.by };
        let pods_unlimited = Answer {
            truth: foreign.truth.clone().or(untagged.truth.clone()),
            by: if untagged.truth.is_true() { untagged.by } else { foreign.by },
        };
        let cluster = ["aws:RequestTag/eks-cluster-arn", "aws:RequestTag/eks-cluster-name"];
        let cluster: Vec<&str> = SOURCES.into_iter().chain(cluster).collect();
        let pods_of_any_cluster = !trust.constrained_by(&pods, &[ASSUME], &cluster).foreign.truth;
        Self {
            admissions: trust.admissions().map_err(Clone::clone),
            federated: trust.federated_access().map_err(Clone::clone),
            pods: trust.admits(&pods, ASSUME),
            pods_tag: trust.admits(&pods, TAG),
            pods_unlimited,
            pods_of_any_cluster,
            document,
            trust,
        }
    }

    /// Every principal that an Allow names; why there is no saying where the policy cannot be read.
    pub(crate) fn admissions(&self) -> Result<&[Admission], &DocumentError> {
        self.admissions.as_deref()
    }

    /// Whether Pod Identity, and nobody else, may assume the role.
    pub(crate) fn only_pods(&self) -> Truth {
        match &self.admissions {
            Err(error) => unreadable(error),
            Ok(list) => {
                let others = list.iter().filter(|a| !is_pods(&a.who));
                let others = others.fold(Truth::False, |any, a| any.or(a.possible.clone()));
                self.names_pods(list).and(!others)
            }
        }
    }

    /// Whether a statement names EKS Pod Identity, and can let it in.
    fn names_pods(&self, list: &[Admission]) -> Truth {
        let named = list.iter().filter(|a| is_pods(&a.who) && a.actions.contains(ASSUME));
        let possible = named.fold(Truth::False, |any, a| any.or(a.possible.clone()));
        possible.and(self.pods.truth.clone())
    }

    /// Whether a role can be let in, so that an association of it can reach this role as its target.
    fn admits_roles(&self) -> Truth {
        match &self.admissions {
            Err(error) => unreadable(error),
            Ok(list) => {
                let is_role = |who: &Who| {
                    matches!(
                        who,
                        Who::Anyone | Who::AllBut(_) | Who::Account(_) | Who::Role(_) | Who::Session(_) | Who::Other(_)
                    )
                };
                let roles = list.iter().filter(|a| is_role(&a.who) && a.actions.contains(ASSUME));
                roles.fold(Truth::False, |any, a| any.or(a.possible.clone()))
            }
        }
    }

    /// Whether pods can get to the role by the trust policy alone: by EKS Pod Identity, or by a hop from
    /// an association's role.
    pub(crate) fn pods_by_trust(&self) -> (Truth, Truth) {
        let named = match &self.admissions {
            Err(error) => unreadable(error),
            Ok(list) => self.names_pods(list),
        };
        (named, self.admits_roles())
    }
}

fn is_pods(who: &Who) -> bool {
    matches!(who, Who::Service(name) if name.eq_ignore_ascii_case(PODS))
}

/// What nobody can say of a trust policy that cannot be read.
pub(crate) fn unreadable(error: &DocumentError) -> Truth {
    Truth::unknown(Why::NotUnderstood(format!("the trust policy could not be read: {error}")))
}

fn request_tags() -> impl Iterator<Item = String> {
    TAGS.iter().map(|tag| format!("aws:RequestTag/{tag}"))
}

fn foreign(key: &str) -> &'static str {
    match key {
        "aws:SourceArn" => "arn:aws:eks:xx-nowhere-1:000000000000:cluster/nowhere",
        "aws:SourceAccount" => "000000000000",
        "aws:SourceOrgPaths" => "o-nowhere/r-nowhere/",
        _ => "o-nowhere",
    }
}

impl TrustAnswers {
    /// The statements that say something about EKS Pod Identity, whatever it is.
    pub(crate) fn concerning_pods(&self) -> Vec<Site> {
        let mut sites = self.pods.by.clone();
        sites.extend(self.pods_tag.by.iter().filter(|site| !self.pods.by.contains(site)).cloned());
        sites
    }
}
