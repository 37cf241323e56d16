//! The policies of a role's session: its own, its boundary, a session policy, and the SCPs above it.

use super::index::AccessIndex;
use rolecall_estate::{Cause, Reason, Role};
use rolecall_iam::{AccountId, Arn, Digest, Document, DocumentError, Level, PolicyRef, PolicySet};
use rolecall_rules::Reasons;
use std::sync::Arc;

/// A policy of a role's stack, found or not.
pub(crate) struct Part<'a> {
    pub source: String,
    pub document: Result<&'a Document, Reason>,
}

impl Part<'_> {
    fn policy_ref(&self) -> PolicyRef {
        match &self.document {
            Ok(document) => PolicyRef::known(&self.source, document),
            Err(why) => PolicyRef::missing(&self.source, why),
        }
    }
}

/// The policies of a role that grant, by name.
pub(crate) fn identity<'a>(index: &'a AccessIndex, role: &Role) -> Vec<Part<'a>> {
    let inline = role.inline.iter().map(|policy| Part {
        source: format!("inline policy {}", policy.name),
        document: document(index, Some(&policy.document)),
    });
    let attached = role.attached.iter().map(|policy| managed(index, role.arn.account_id(), &policy.arn));
    inline.chain(attached).collect()
}

/// The permissions boundary of a role.
pub(crate) fn boundary<'a>(index: &'a AccessIndex, role: &Role) -> Option<Part<'a>> {
    let mut part = managed(index, role.arn.account_id(), role.boundary.as_ref()?);
    part.source = format!("permissions boundary {}", part.source);
    Some(part)
}

fn document<'a>(index: &'a AccessIndex, digest: Option<&Digest>) -> Result<&'a Document, Reason> {
    digest
        .and_then(|digest| index.documents.get(digest))
        .ok_or_else(|| Reason::from("its document is not in the estate"))
}

fn managed<'a>(index: &'a AccessIndex, account: AccountId, arn: &Arn) -> Part<'a> {
    let unseen = index.visibility(account).policies.as_ref();
    let missing = || unseen.map_or_else(|| Reason::from("the account's listing does not have it"), Reasons::joined);
    let document = match index.policy(account, arn) {
        Some(policy) => match index.policy_unseen(policy) {
            Some(why) => Err(why.joined()),
            None => document(index, policy.document.as_ref()),
        },
        None => Err(missing()),
    };
    Part { source: arn.to_string(), document }
}

fn scps<'a>(index: &'a AccessIndex, role: &Role) -> Vec<Vec<Part<'a>>> {
    // SCPs do not bind service-linked roles.
    if is_service_linked(role) {
        return Vec::new();
    }
    match index.scps(role.arn.account_id()) {
        Ok(levels) => levels
            .into_iter()
            .map(|level| {
                let part = |policy: &rolecall_estate::OrgPolicy| Part {
                    source: format!("SCP {}", policy.name),
                    document: index
                        .documents
                        .get(&policy.document)
                        .ok_or_else(|| Reason::from("its document is not in the estate")),
                };
                level.into_iter().map(part).collect()
            })
            .collect(),
        Err(why) => vec![vec![Part { source: "SCPs".to_owned(), document: Err(why.joined()) }]],
    }
}

/// Whether the role is one that an AWS service made for itself.
pub(crate) fn is_service_linked(role: &Role) -> bool {
    role.arn.path().starts_with("/aws-service-role/")
}

/// A session policy, for a stack.
pub(crate) fn session_policy<'a>(index: &'a AccessIndex, digest: &Digest) -> Part<'a> {
    Part { source: "session policy".to_owned(), document: document(index, Some(digest)) }
}

fn scp_levels(index: &AccessIndex, role: &Role) -> Arc<[Level]> {
    let level = |(n, policies): (usize, &Vec<Part<'_>>)| {
        Level::new(&format!("level {}", n + 1), policies.iter().map(Part::policy_ref).collect())
    };
    scps(index, role).iter().enumerate().map(level).collect()
}

/// Whether none of the organization's policies above an account was seen.
pub(crate) fn is_unseen(levels: Option<&[Level]>) -> bool {
    let mut policies = levels.iter().flat_map(|levels| levels.iter()).flat_map(|level| &level.policies).peekable();
    policies.peek().is_some() && policies.all(|policy| policy.policy().is_none())
}

/// The policies of a role's session without those of the organization above it.
pub(crate) fn own_policies(index: &AccessIndex, role: &Role, session: Option<&Digest>) -> PolicySet {
    PolicySet { scp: None, ..policy_set(index, role, session) }
}

/// The policies that apply to a role's session.
pub(crate) fn policy_set(index: &AccessIndex, role: &Role, session: Option<&Digest>) -> PolicySet {
    PolicySet {
        identity: Some(identity(index, role).iter().map(Part::policy_ref).collect()),
        boundary: boundary(index, role).map(|part| vec![part.policy_ref()]),
        session: session.map(|digest| vec![session_policy(index, digest).policy_ref()]),
        scp: Some(scp_levels(index, role)),
        ..PolicySet::default()
    }
}

/// What holds back whoever becomes the role, whatever its own policies allow: its boundary and SCPs.
pub(crate) fn ceilings(index: &AccessIndex, role: &Role) -> PolicySet {
    PolicySet {
        boundary: boundary(index, role).map(|part| vec![part.policy_ref()]),
        scp: Some(scp_levels(index, role)),
        ..PolicySet::default()
    }
}

/// Why a part of the stack was not seen; `None` where it was, read or not.
pub(crate) fn not_seen(part: &Part<'_>) -> Option<Reasons> {
    let why = part.document.as_ref().err()?;
    Some(Reasons::one(why.reworded(format!("{} not seen: {why}", part.source))))
}

/// Why a policy says nothing: it was not seen, or cannot be read.
pub(crate) fn says_nothing(part: &Part<'_>) -> Option<Reasons> {
    match &part.document {
        Ok(document) => {
            let error = document.parsed.as_ref().err()?;
            let text = format!("the {} could not be read: {error}", part.source);
            Some(Reasons::one(Reason::new(text, Cause::Document)))
        }
        Err(_) => not_seen(part),
    }
}

/// Every document of a role (trust policy, own policies, boundary) that cannot be read, with its name.
pub(crate) fn unreadable<'a>(index: &'a AccessIndex, role: &Role) -> Vec<(String, &'a Document, &'a DocumentError)> {
    let trust = role.trust.and_then(|digest| index.documents.get(&digest)).map(|d| ("trust policy".to_owned(), d));
    let parts = identity(index, role).into_iter().chain(boundary(index, role));
    let parts = parts.filter_map(|part| part.document.ok().map(|document| (part.source, document)));
    let broken = trust.into_iter().chain(parts).filter_map(|(source, document)| {
        let error = document.parsed.as_ref().err()?;
        Some((source, document, error))
    });
    broken.collect()
}

/// Why some policy or the boundary of a role was not seen.
pub(crate) fn unseen_part(index: &AccessIndex, role: &Role) -> Option<Reasons> {
    identity(index, role).into_iter().chain(boundary(index, role)).find_map(|part| not_seen(&part))
}

/// The trust policy of a role, for a request to assume it.
pub(crate) fn trust_policy(index: &AccessIndex, role: &Role) -> PolicyRef {
    let document = role.trust.and_then(|digest| index.documents.get(&digest));
    document.map_or_else(
        || PolicyRef::missing("trust policy", "the role's listing does not have it"),
        |document| PolicyRef::known("trust policy", document),
    )
}
