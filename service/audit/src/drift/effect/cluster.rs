//! What a difference of a cluster comes to, of what is in it, and of identity providers.

use super::Both;
use super::label::{AccessChange, Label};
use super::side::{Held, Side};
use crate::drift::difference::{ClusterKey, Difference, kind};
use crate::drift::{Access, Effect, State};
use rolecall_estate::{AccessEntry, AssociationKey};
use rolecall_iam::Truth;
use std::collections::BTreeSet;

/// The add-on that hands Pod Identity credentials to pods.
const AGENT: &str = "eks-pod-identity-agent";

impl Both<'_> {
    pub(super) fn addon(&self, cluster: &ClusterKey, name: &str, difference: &Difference) -> Label {
        let mut label = Label::none("the add-on gives pods no credentials");
        if name != AGENT || difference.change == kind::CHANGED {
            return label;
        }
        let (account, region, of) = cluster;
        let built_in =
            self.after.estate.clusters.iter().any(|it| {
                (it.account_id, &it.region, &it.name) == (*account, region, of) && it.auto_mode == Some(true)
            });
        if built_in {
            return Label::none("the agent is built into EKS Auto Mode");
        }
        let added = difference.change == kind::ADDED;
        let here = |key: &&AssociationKey| (key.account_id, &key.region, &key.cluster) == (*account, region, of);
        for key in self.workloads.iter().filter(here) {
            let side = if added { &self.after } else { &self.before };
            let Held::Policies(parts) = side.workload(key) else { continue };
            let words = format!("credentials of {}", parts.role);
            let access = Some(Access::described(words, "eks-auth:AssumeRoleForPodIdentity", &difference.resource.name));
            let change = if added {
                AccessChange {
                    effect: Effect::Widened,
                    gained: access,
                    lost: None,
                    because: "pods get credentials by the Pod Identity agent, unless it was there without the add-on"
                        .to_owned(),
                    is_compared: false,
                }
            } else {
                AccessChange {
                    effect: Effect::Narrowed,
                    gained: None,
                    lost: access,
                    because: "without the Pod Identity agent pods get no credentials, unless it is there without the \
                              add-on"
                        .to_owned(),
                    is_compared: false,
                }
            };
            label.add(key, &change);
        }
        if !added {
            label.takes_hold = self.next_credentials(&label);
        }
        label
    }

    pub(super) fn access_entry(&self, principal: &str, difference: &Difference) -> Label {
        let grants = |state: &Option<State>| -> BTreeSet<String> {
            let Some(State::Text(text)) = state else { return BTreeSet::new() };
            let Ok(entry) = serde_json::from_str::<AccessEntry>(text) else { return BTreeSet::new() };
            let policies = entry.policies.iter().flat_map(|policy| {
                let everywhere = policy.namespaces.is_empty().then(|| format!("{} in every namespace", policy.arn));
                let some = policy.namespaces.iter().map(|namespace| format!("{} in {namespace}", policy.arn));
                everywhere.into_iter().chain(some).collect::<Vec<_>>()
            });
            let groups = entry.groups.iter().map(|group| format!("Kubernetes group {group}"));
            let entered = std::iter::once("entry to the cluster".to_owned());
            policies.chain(groups).chain(entered).collect()
        };
        let (was, is) = (grants(&difference.before), grants(&difference.after));
        let access = |more: BTreeSet<&String>| {
            let words: Vec<&str> = more.iter().map(|it| it.as_str()).collect();
            (!words.is_empty()).then(|| {
                let said = format!("{principal}: {}", words.join(", "));
                let access = Access::described(said, "eks:AccessKubernetesApi", &difference.resource.name);
                Access { principal: Some(principal.to_owned()), ..access }
            })
        };
        let (gained, lost) = (access(is.difference(&was).collect()), access(was.difference(&is).collect()));
        let effect = match (&gained, &lost) {
            (Some(_), Some(_)) => Effect::Mixed,
            (Some(_), None) => Effect::Widened,
            (None, Some(_)) => Effect::Narrowed,
            (None, None) => Effect::None,
        };
        let because = "an access entry says what its principal may do in the cluster".to_owned();
        let change = AccessChange { effect, gained, lost, because, is_compared: false };
        let mut label = Label::new(&change);
        for key in self.users_of(principal) {
            let holds =
                |side: &Side<'_>| matches!(side.workload(key), Held::Policies(parts) if parts.role == principal);
            if holds(&self.before) || holds(&self.after) {
                label.add(key, &change);
            }
        }
        label
    }

    pub(super) fn provider(&self, arn: &str, difference: &Difference) -> Label {
        match (difference.change, difference.part.as_deref()) {
            (kind::TAGS, _) => return Label::none("tags of a provider change nothing that its tokens may do"),
            (kind::CLIENT_ID_ADDED, Some(id)) => return self.audience(arn, id, true),
            (kind::CLIENT_ID_REMOVED, Some(id)) => return self.audience(arn, id, false),
            _ => {}
        }
        let trusted = trusting(&self.before, arn).next().is_some() || trusting(&self.after, arn).next().is_some();
        let access = || {
            Some(Access::described(format!("AssumeRoleWithWebIdentity by {arn}"), "sts:AssumeRoleWithWebIdentity", arn))
        };
        match (trusted, difference.change) {
            (false, _) => Label::none("no role trusts the provider"),
            (true, kind::ADDED) => Label {
                gained: access(),
                ..Label::plain(Effect::Widened, "roles trust the provider, whose tokens AWS STS accepts now")
            },
            (true, kind::THUMBPRINTS) => Label::plain(
                Effect::Unknown,
                "AWS verifies most providers by its own certificate authorities, and by thumbprints only where those \
                 do not sign; which of the two holds here was not looked at",
            ),
            (true, _) => Label {
                lost: access(),
                ..Label::plain(Effect::Narrowed, "roles trust the provider, whose tokens AWS STS refuses now")
            },
        }
    }

    /// AWS STS takes or refuses a provider's tokens for a client id. What that opens is up to the trust policies:
    /// those decide whether a token for it is let in.
    fn audience(&self, arn: &str, id: &str, added: bool) -> Label {
        let side = if added { &self.after } else { &self.before };
        let (mut lets_in, mut unknown) = (None, None);
        for role in trusting(side, arn) {
            let Some(trust) = side.trust(role) else { continue };
            match trust.admits_audience(arn, id).truth {
                Truth::True => lets_in = lets_in.or(Some(role)),
                Truth::False => {}
                Truth::Unknown(_) => unknown = unknown.or(Some(role)),
            }
        }
        let (effect, verb) = if added { (Effect::Widened, "takes") } else { (Effect::Narrowed, "refuses") };
        let Some(role) = lets_in else {
            return match unknown {
                None => Label::none(&format!("no role's trust policy lets in a token for {id}")),
                Some(role) => Label::plain(
                    Effect::Unknown,
                    &format!("whether the trust policy of {role} lets in a token for {id} could not be decided"),
                ),
            };
        };
        let said = format!("AssumeRoleWithWebIdentity of {role} by {arn} with a token for {id}");
        let access = Some(Access::described(said, "sts:AssumeRoleWithWebIdentity", role));
        let because = format!("AWS STS {verb} tokens for {id} now, and the trust policy of {role} lets them in");
        let (gained, lost) = if added { (access, None) } else { (None, access) };
        Label { gained, lost, ..Label::plain(effect, &because) }
    }
}

/// The roles whose trust policies name a provider.
fn trusting<'a>(side: &'a Side<'_>, provider: &'a str) -> impl Iterator<Item = &'a str> {
    side.estate.roles.iter().filter_map(move |role| {
        let document = side.estate.documents.get(role.trust.as_ref()?)?;
        document.text.contains(provider).then(|| role.arn.as_str())
    })
}

/// What a difference of the cluster itself comes to.
pub(super) fn label(difference: &Difference) -> Label {
    match (difference.change, difference.part.as_deref()) {
        (kind::FIELD, Some("authentication_mode")) => Label::plain(
            Effect::Unknown,
            "who may enter the cluster depends on its aws-auth ConfigMap, which is not read",
        ),
        (kind::FIELD, _) | (kind::TAGS, _) => Label::none("it changes nothing that pods may do in AWS"),
        _ => Label::none("what its pods may do follows from its associations, which are changes of their own"),
    }
}
