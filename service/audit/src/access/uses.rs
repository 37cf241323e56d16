//! When the credentials of associations and roles were used last, and until when they may have been
//! used unseen.
//!
//! What a trail that is incomplete, an association that nobody saw or an attribution that is not
//! certain leaves open stays open. Refuses to say how long is too long.

use super::answer::{Known, Listed, Partial};
use super::index::AccessIndex;
use super::role_trust;
use super::trail::LastSession;
use chrono::{DateTime, Utc};
use rolecall_cloudtrail::evidence::BothCredentials;
use rolecall_estate::{Association, Cause, Reason, Role};
use rolecall_iam::trust::{Trust, Who};
use rolecall_rules::Reasons;
use std::collections::BTreeSet;

/// A use of credentials, or the time until which one may have gone unseen.
#[derive(Debug)]
pub(crate) struct Use {
    /// `session`, `iam` or `unseen`.
    pub by: &'static str,
    pub at: Known<DateTime<Utc>>,
    /// When at the latest.
    pub latest: DateTime<Utc>,
    pub evidence: Option<UseEvidence>,
}

/// What shows a use.
#[derive(Debug)]
pub(crate) enum UseEvidence {
    Session(LastSession),
    /// The last session or call that was counted, and of what.
    Counted(DateTime<Utc>, String),
    /// IAM's last use of the role with this ARN.
    Iam(DateTime<Utc>, String),
}

/// Sessions by IRSA of a service account that has an association.
#[derive(Debug)]
pub(crate) struct WebIdentityUse {
    pub role_arn: String,
    pub both: BothCredentials,
    /// Why they may be of another cluster's service account.
    pub doubt: Option<Reasons>,
}

impl Use {
    fn known(by: &'static str, at: DateTime<Utc>, evidence: UseEvidence) -> Self {
        Self { by, at: Ok(at), latest: at, evidence: Some(evidence) }
    }

    fn session(last: &LastSession) -> Self {
        Self::known("session", last.at, UseEvidence::Session(last.clone()))
    }

    fn counted(at: DateTime<Utc>, of: String) -> Self {
        Self::known("session", at, UseEvidence::Counted(at, of))
    }

    fn by_iam(role: &Role, at: DateTime<Utc>) -> Self {
        Self::known("iam", at, UseEvidence::Iam(at, role.arn.to_string()))
    }

    fn open(latest: DateTime<Utc>, why: Reasons) -> Self {
        Self { by: "unseen", at: Err(why), latest, evidence: None }
    }
}

/// When an association's credentials were used, or may have been.
pub(crate) fn of_association(index: &AccessIndex, association: &Association) -> Listed<Use> {
    let key = &association.key;
    let mut uses = Vec::new();
    if let Some(last) = index.trail.used.get(key) {
        uses.push(Use::session(last));
    } else if let Some(at) = index.trail.memory.associations.get(&association.association_id) {
        uses.push(Use::counted(*at, format!("association {}", association.association_id)));
    }
    if let Some(at) = index.trail.possible.get(&association.association_id) {
        let why = Reasons::one("a session can be of this association or of others");
        uses.push(Use::open(*at, why));
    }
    let trail = match index.sessions_unseen(key.account_id, &key.region, DateTime::<Utc>::MAX_UTC) {
        Some(why) => Err(why),
        None => {
            let stretches = index.trail.stretches.get(&(key.account_id, key.region.clone()));
            let since = index.trail.back(index.trail.since, stretches);
            since.ok_or_else(|| Reasons::one("since when the trail is complete is unknown"))
        }
    };
    let unread = |since: DateTime<Utc>| format!("sessions before {} were not read", since.to_rfc3339());
    let on_a_day = index.last_day_unseen(key.account_id, &key.region);
    let role = association.detail.as_ref().and_then(|detail| index.role(&detail.role_arn));
    let missing = match (trail, role.map(|role| (role, index.used_by_iam(role)))) {
        // No session of it did anything in the 400 days that IAM remembers.
        (_, Some((_, Ok(None)))) => None,
        (_, Some((role, Ok(Some(at))))) if is_alone(index, role) => {
            uses.push(Use::by_iam(role, at));
            None
        }
        (Ok(since), Some((_, Ok(Some(at))))) => {
            uses.push(Use::open(since.min(at), Reasons::one(unread(since))));
            uses.extend(on_a_day.map(|(until, why)| Use::open(until.min(at), why)));
            None
        }
        (Err(why), Some((_, Ok(Some(at))))) => {
            uses.push(Use::open(at, why));
            None
        }
        (Ok(since), _) => {
            uses.push(Use::open(since, Reasons::one(unread(since))));
            uses.extend(on_a_day.map(|(until, why)| Use::open(until, why)));
            None
        }
        (Err(why), _) => Some(why),
    };
    Ok(Partial { items: uses, missing })
}

/// Whether nobody but one association's pods can use the role.
fn is_alone(index: &AccessIndex, role: &Role) -> bool {
    let arn = role.arn.as_str();
    let (own, into) = (index.associations_of(arn).len(), index.associations_into(arn).len());
    own == 1
        && into == 0
        && index.visibility(role.arn.account_id()).associations.is_none()
        && role_trust::answers(index, role).is_ok_and(|answers| answers.only_pods().is_true())
}

/// When a role was used: IAM keeps it for every session, wherever it came from.
pub(crate) fn of_role(index: &AccessIndex, role: &Role) -> Listed<Use> {
    let mut uses = Vec::new();
    if let Some(last) = index.trail.roles.get(role.arn.as_str()) {
        uses.push(Use::session(last));
    } else if let Some(at) = index.trail.memory.roles.get(role.arn.as_str()) {
        uses.push(Use::counted(*at, format!("role {}", role.arn)));
    }
    let missing = match index.used_by_iam(role) {
        Ok(at) => {
            uses.extend(at.map(|at| Use::by_iam(role, at)));
            None
        }
        // Whoever takes a role leaves an event in the role's own account, in whatever region.
        Err(why) => match index.trail.back(None, index.trail.everywhere.get(&role.arn.account_id())) {
            Some(since) => {
                let unread = format!("sessions before {} were not read", since.to_rfc3339());
                uses.push(Use::open(since, why.and(&Reasons::one(unread))));
                None
            }
            None => Some(why),
        },
    };
    Ok(Partial { items: uses, missing })
}

/// Sessions by IRSA of the service account of an association that has sessions as well.
pub(crate) fn web_identity(index: &AccessIndex, association: &Association) -> Listed<WebIdentityUse> {
    let key = &association.key;
    let missing = index.sessions_unseen(key.account_id, &key.region, DateTime::<Utc>::MIN_UTC);
    let place = (key.account_id, key.namespace.to_string(), key.service_account.to_string());
    let both = index.trail.both_credentials.get(&place).filter(|_| index.trail.used.contains_key(key));
    let uses = both.into_iter().flat_map(|both| {
        both.irsa.roles.iter().filter_map(|role| {
            let ours = trusts_cluster(index, association, role);
            (!matches!(ours, Ok(false))).then(|| WebIdentityUse {
                role_arn: role.clone(),
                both: both.clone(),
                doubt: ours.err(),
            })
        })
    });
    Ok(Partial { items: uses.collect(), missing })
}

/// Whether an IRSA role is for the association's own cluster: IRSA's events do not name clusters, and
/// the role's trust policy names the provider of each.
fn trusts_cluster(index: &AccessIndex, association: &Association, role: &str) -> Result<bool, Reasons> {
    let key = &association.key;
    let open = |why: String| Err(Reasons::one(why));
    let cluster = index.cluster_index(&(key.account_id, key.region.clone(), key.cluster.clone()));
    let Some(issuer) = cluster.and_then(|at| index.clusters.get(at)).and_then(|it| it.oidc_issuer.as_deref()) else {
        return open(format!("the OIDC issuer of cluster {} was not seen", key.cluster));
    };
    let issuer = issuer.strip_prefix("https://").unwrap_or(issuer);
    if let Some(why) = index.role(role).and_then(|role| index.role_unseen(role)) {
        return Err(why);
    }
    let document = index.role(role).and_then(|role| role.trust).and_then(|digest| index.documents.get(&digest));
    let Some(document) = document else { return open(format!("the trust policy of {role} was not seen")) };
    let trust = Trust::new("trust policy", document);
    let admissions = trust.admissions().map_err(|problem| {
        let text = format!("the trust policy of {role}: {problem}");
        Reasons::one(Reason::new(text, Cause::Document))
    })?;
    let mut providers: BTreeSet<String> = BTreeSet::new();
    for admission in &admissions {
        match &admission.who {
            Who::Oidc(arn) => providers.extend(arn.resource().strip_prefix("oidc-provider/").map(str::to_owned)),
            Who::Anyone | Who::AllBut(_) => {
                return open(format!("{role} trusts any OIDC provider, and the sessions do not say which they used"));
            }
            _ => {}
        }
    }
    if !providers.contains(issuer) {
        return Ok(false);
    }
    if providers.len() > 1 {
        return open(format!(
            "{role} trusts several OIDC providers, and the sessions do not say which of them they used"
        ));
    }
    Ok(true)
}
