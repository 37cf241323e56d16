//! The requests that EKS Pod Identity makes for an association, and what trust policies answer.
//!
//! Knows what such a request looks like: its service principal, its source and its six session tags.

use super::trust::{ASSUME, PODS, TAG, TAGS, TrustAnswers};
use rolecall_estate::{AssociationDetail, AssociationKey};
use rolecall_iam::{Answer, Context, Requester, Truth};

/// Which part of what an association's request brings a trust policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Pod Identity is not admitted whatever the request brings.
    NotAdmitted,
    /// The policy needs session tags, and the association does not send them.
    TagsOff,
    /// The policy needs other session tags than the association sends.
    Tags,
    /// The policy needs another source than the cluster.
    Source,
    /// Anything else.
    Other,
}

impl Refusal {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotAdmitted => "not_admitted",
            Self::TagsOff => "session_tags_disabled",
            Self::Tags => "tags",
            Self::Source => "source",
            Self::Other => "other",
        }
    }
}

/// Whether a trust policy can let an association's request through, by its source and tags, and
/// what it refuses where it cannot.
pub(crate) fn refusal(
    answers: &TrustAnswers,
    key: &AssociationKey,
    detail: &AssociationDetail,
    cluster_arn: &str,
) -> Result<Option<Refusal>, Truth> {
    let pods = Requester::service(PODS);
    let sourced = |context: Context| {
        context.set("aws:SourceAccount", [key.account_id.to_string()]).set("aws:SourceArn", [cluster_arn])
    };
    let tagged = |context: Context| tagged(context, key, detail, cluster_arn);
    let possible = |context: &Context| {
        let assume = answers.trust.admits_in(&pods, ASSUME, context).truth;
        // Where tags are sent, tagging is asked for as well; a policy that never admits tagging is
        // its own finding.
        if detail.disable_session_tags || answers.pods_tag.truth.is_false() {
            assume
        } else {
            assume.and(answers.trust.admits_in(&pods, TAG, context).truth)
        }
    };
    let decide = |context: Context| match possible(&context) {
        Truth::True => Ok(true),
        Truth::False => Ok(false),
        unknown @ Truth::Unknown(_) => Err(unknown),
    };
    if decide(sourced(tagged(pods.context())))? {
        return Ok(None);
    }
    Ok(Some(if !decide(pods.context())? {
        Refusal::NotAdmitted
    } else if decide(sourced(pods.context()))? {
        if detail.disable_session_tags { Refusal::TagsOff } else { Refusal::Tags }
    } else if decide(tagged(pods.context()))? {
        Refusal::Source
    } else {
        Refusal::Other
    }))
}

/// What EKS asks for a session with, of tags: the association's own, or none.
fn tagged(context: Context, key: &AssociationKey, detail: &AssociationDetail, cluster_arn: &str) -> Context {
    if detail.disable_session_tags {
        return context
            .absent_under("aws:RequestTag/")
            .absent("aws:TagKeys")
            .absent("sts:TransitiveTagKeys")
            .absent("sts:ExternalId");
    }
    own_tags("aws:RequestTag/", context, key, cluster_arn).set("aws:TagKeys", TAGS).set("sts:TransitiveTagKeys", TAGS)
}

/// What EKS asks for a session of an association's role with.
pub(crate) fn pods_request(key: &AssociationKey, detail: &AssociationDetail, cluster_arn: &str) -> Context {
    let context = Requester::service(PODS).context();
    let context = context.set("aws:SourceAccount", [key.account_id.to_string()]).set("aws:SourceArn", [cluster_arn]);
    tagged(context, key, detail, cluster_arn)
}

/// What EKS asks for a session of the target role with, by one of the association's role.
pub(crate) fn hop_request(
    caller: &Requester,
    key: &AssociationKey,
    detail: &AssociationDetail,
    cluster_arn: &str,
) -> Context {
    let mut own = caller.context();
    own = if detail.disable_session_tags {
        own.absent_under("aws:RequestTag/")
            .absent_under("aws:PrincipalTag/kubernetes-")
            .absent_under("aws:PrincipalTag/eks-")
    } else {
        let own = own_tags("aws:RequestTag/", own, key, cluster_arn);
        own_tags("aws:PrincipalTag/", own, key, cluster_arn)
    };
    // That EKS sends the external id where tags are on is not written anywhere: it stays open then.
    if let (true, Some(external_id)) = (detail.disable_session_tags, &detail.external_id) {
        own = own.set("sts:ExternalId", [external_id.as_str()]);
    }
    own
}

fn own_tags(prefix: &str, context: Context, key: &AssociationKey, cluster_arn: &str) -> Context {
    let known = [
        ("eks-cluster-arn", cluster_arn),
        ("eks-cluster-name", key.cluster.as_str()),
        ("kubernetes-namespace", key.namespace.as_str()),
        ("kubernetes-service-account", key.service_account.as_str()),
    ];
    known.iter().fold(context, |context, (tag, value)| context.set(&format!("{prefix}{tag}"), [*value]))
}

/// What a target role's trust policy makes of the hop from an association role.
#[derive(Debug)]
pub(crate) struct Hop {
    /// Whether the association role can be admitted by the association's own request.
    pub admitted: Truth,
    /// The same for `sts:TagSession`; not asked where no tags are sent.
    pub may_tag: Truth,
    /// Whether the role is admitted only by its account, so that its own policies must allow it too.
    pub assume_via_account: bool,
    /// The same for `sts:TagSession`.
    pub tag_via_account: bool,
    /// Whether a hop is let through that another workload of the role could make: with a foreign
    /// external id and foreign session tags.
    pub unlimited: Answer,
}

/// Judges the hop into a target role.
pub(crate) fn hop(
    target: &TrustAnswers,
    role: &rolecall_iam::RoleArn,
    role_id: Option<&str>,
    key: &AssociationKey,
    detail: &AssociationDetail,
    cluster_arn: &str,
) -> Hop {
    let caller = Requester::role(role);
    let caller = role_id.map_or(caller.clone(), |id| caller.with_unique_id(id));
    let own = hop_request(&caller, key, detail, cluster_arn);
    let via_account = |action| target.trust.admits_by_account_only(&caller, action, &own);
    let keys: Vec<String> = std::iter::once("sts:ExternalId".to_owned())
        .chain(
            ["aws:RequestTag/", "aws:PrincipalTag/"]
                .iter()
                .flat_map(|prefix| TAGS.iter().map(move |tag| format!("{prefix}{tag}"))),
        )
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let limit = target.trust.constrained_by(&caller, &[ASSUME], &keys);
    Hop {
        admitted: target.trust.admits_in(&caller, ASSUME, &own).truth,
        may_tag: if detail.disable_session_tags {
            Truth::True
        } else {
            target.trust.admits_in(&caller, TAG, &own).truth
        },
        assume_via_account: via_account(ASSUME),
        tag_via_account: via_account(TAG),
        unlimited: Answer { truth: !limit.foreign.truth, by: limit.foreign.by },
    }
}
